// Vlagent reads the logs of a node's pods, and the API server's audit log, and sends them to VictoriaLogs.
//
// It is upstream's app/vlagent with another way to know pods: by the paths of their files. Upstream's asks the API server, so it neither starts nor finds a restarted container
// while there is none. Nobody sends anything to this one: it shows its metrics, and that is all that it listens for.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlagent/filecollector"
	"github.com/VictoriaMetrics/VictoriaLogs/app/vlagent/remotewrite"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/envflag"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/httpserver"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/logger"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/procutil"
)

func main() {
	address := flag.String("httpListenAddr", "127.0.0.1:9429", "Where metrics are shown")
	state := flag.String("tmpDataPath", "", "Folder of what is not sent yet, and of how far files were read")
	logs := flag.String("podLogs", "", "Folder of pods' logs, /var/log/pods; empty for none")
	audit := flag.String("auditLog", "", "The API server's audit log; empty for none")
	node := flag.String("node", "", "Name of this node")
	envflag.Parse()
	buildinfo.Init()
	remotewrite.InitSecretFlags()
	logger.Init()

	if *audit != "" {
		readAudit(*audit, *node)
	}
	remotewrite.Init(*state)
	filecollector.Init(*state)
	pods := startPods(*logs, *node, *state)
	listen := []string{*address}
	go httpserver.Serve(listen, func(http.ResponseWriter, *http.Request) bool { return false }, httpserver.ServeOptions{})
	logger.Infof("received signal %s", procutil.WaitForSigterm())

	began := time.Now()
	if err := httpserver.Stop(listen); err != nil {
		logger.Errorf("cannot stop showing metrics: %s", err)
	}
	pods.stop()
	filecollector.Stop()
	remotewrite.Stop()
	logger.Infof("stopped in %.3f seconds", time.Since(began).Seconds())
}

// readAudit tells upstream's reader of files what to do, as its flags would.
func readAudit(path, node string) {
	for name, value := range map[string]string{
		"glob":          path,
		"extraFields":   fmt.Sprintf(`{"log":"audit","node":%q}`, node),
		"streamFields":  "log,node",
		"fileField":     "",
		"hostnameField": "",
		"msgField":      "requestURI",
		"timeField":     "stageTimestamp",
	} {
		if err := flag.Set("fileCollector."+name, value); err != nil {
			logger.Fatalf("cannot read the audit log: %s", err)
		}
	}
}
