package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlagent/remotewrite"
	"github.com/VictoriaMetrics/VictoriaLogs/app/vlagent/tail"
	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/bytesutil"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/logger"
	"github.com/VictoriaMetrics/metrics"
)

// VictoriaLogs takes no row of more than 2 MiB; of a longer line it gets the beginning.
const maxLine = 2<<20 - 64<<10

var (
	rowsRead    = metrics.NewCounter(`vl_rows_ingested_total{type="pod_logs"}`)
	rowsDropped = metrics.NewCounter(`vl_rows_dropped_total{reason="no_cri_line"}`)
	complaints  = logger.WithThrottler("cri", 5*time.Second)
)

// pods follows the files that the kubelet and containerd have in NAMESPACE_POD_UID/CONTAINER/RESTART.log.
type pods struct {
	tailer *tail.Tailer
	end    chan struct{}
	ended  chan struct{}
}

func startPods(folder, node, state string) *pods {
	if folder == "" {
		return nil
	}
	p := &pods{tail.Start(filepath.Join(state, "pods.json")), make(chan struct{}), make(chan struct{})}
	p.look(folder, node)
	p.tailer.CleanupCheckpoints()
	go func() {
		defer close(p.ended)
		for {
			select {
			case <-p.end:
				return
			case <-time.After(time.Second):
				p.look(folder, node)
			}
		}
	}()
	return p
}

// look begins to read what is new; what is gone is forgotten by the tailer, once it was read to its end.
func (p *pods) look(folder, node string) {
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*", "*.log"))
	if err != nil {
		logger.Panicf("FATAL: %s is no folder of logs: %s", folder, err)
	}
	for _, path := range paths {
		if fields := about(path, node); fields != nil && !p.tailer.IsTailing(path) {
			p.tailer.StartRead(path, newPodLog(fields))
		}
	}
}

func (p *pods) stop() {
	if p == nil {
		return
	}
	close(p.end)
	<-p.ended
	p.tailer.Stop()
}

// about says whose a file is, in the words of metrics; nil for a file that is no container's.
func about(path, node string) []logstorage.Field {
	folder, file := filepath.Split(path)
	pod, container := filepath.Split(filepath.Clean(folder))
	names := strings.Split(filepath.Base(pod), "_")
	if len(names) != 3 {
		return nil
	}
	return []logstorage.Field{
		{Name: "log", Value: "pod"},
		{Name: "node", Value: node},
		{Name: "namespace", Value: names[0]},
		{Name: "pod", Value: names[1]},
		{Name: "container", Value: container},
		{Name: "uid", Value: names[2]},
		{Name: "restart", Value: strings.TrimSuffix(file, ".log")},
	}
}

var streamFields = []string{"log", "node", "namespace", "pod", "container"}

// podLog reads one file in CRI's format: TIME stdout|stderr P|F TEXT, where P is a part of a line that goes on.
type podLog struct {
	rows  *logstorage.LogRows
	parts map[string][]byte
}

func newPodLog(fields []logstorage.Field) *podLog {
	return &podLog{logstorage.GetLogRows(streamFields, nil, nil, fields, ""), map[string][]byte{}}
}

// TryAddLine is false while a line is not complete: after a restart it is read again from its first part.
func (l *podLog) TryAddLine(line []byte) bool {
	words := bytes.SplitN(line, []byte(" "), 4)
	if len(words) < 4 {
		return l.drop(line)
	}
	moment, ok := logstorage.TryParseTimestampRFC3339Nano(bytesutil.ToUnsafeString(words[0]))
	if !ok {
		return l.drop(line)
	}
	stream, text := string(words[1]), words[3]
	if before := l.parts[stream]; before != nil || words[2][0] == 'P' {
		text = append(before, text...)
		if len(text) > maxLine {
			text = text[:maxLine]
		}
	}
	if words[2][0] == 'P' {
		l.parts[stream] = text
		return false
	}
	delete(l.parts, stream)
	if len(text) > 0 {
		fields := []logstorage.Field{{Name: "stream", Value: stream}, {Name: "_msg", Value: bytesutil.ToUnsafeString(text)}}
		l.rows.MustAdd(logstorage.TenantID{}, moment, fields, -1)
		(&remotewrite.Storage{}).MustAddRows(l.rows)
		l.rows.ResetKeepSettings()
		rowsRead.Inc()
	}
	return len(l.parts) == 0
}

func (l *podLog) drop(line []byte) bool {
	rowsDropped.Inc()
	complaints.Errorf("this is no line of a container: %q", line)
	return true
}

// Flush has nothing to do: each line goes on at once.
func (l *podLog) Flush() {}

// MustClose is called once.
func (l *podLog) MustClose() {
	logstorage.PutLogRows(l.rows)
}
