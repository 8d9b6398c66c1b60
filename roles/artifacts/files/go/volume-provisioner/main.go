// Volume-provisioner makes, enlarges and removes directories with a quota on a CephFS that all nodes have mounted, as volumes for claims.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	name        = "selfhosted.kubernetes/cephfs"
	provisioned = "pv.kubernetes.io/provisioned-by"
	quota       = "ceph.quota.max_bytes"
	// What a volume was made for, so that it can be found again when the cluster's objects are lost (playbooks/storage_adopt.yml).
	records = ".claims"
	// What is being removed; a removal that was interrupted is gone on with.
	removed = ".removed-"
	// As statfs(2) names file systems: mounted by ceph-fuse, and by the kernel's client.
	fuse, ceph = 0x65735546, 0x00c36400
)

type volumes struct {
	// Where this pod sees the file system, and where nodes have it.
	root, onNodes string
	client        kubernetes.Interface
}

// mounted guards against the directory below the mount, which is a node's own.
func (v *volumes) mounted() error {
	var found unix.Statfs_t
	err := unix.Statfs(v.root, &found)
	if errors.Is(err, unix.ENOTCONN) {
		klog.ErrorS(err, "The file system's client on this node has ended; starting again to see the new one")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	if err != nil {
		return err
	}
	if found.Type != fuse && found.Type != ceph {
		return fmt.Errorf("CephFS is not mounted on this node: journalctl -u cephfs.service")
	}
	return nil
}

func (v *volumes) setQuota(volume string, bytes int64) error {
	path := filepath.Join(v.root, volume)
	if err := unix.Setxattr(path, quota, []byte(strconv.FormatInt(bytes, 10)), 0); err != nil {
		return fmt.Errorf("quota of %s: %w", path, err)
	}
	return nil
}

// Provision makes a directory; made already, it stays as it is.
func (v *volumes) Provision(_ context.Context, options controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == core.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, errors.New("this class has file systems and no block devices: leave volumeMode out")
	}
	if claim.Spec.Selector != nil || claim.Spec.DataSource != nil || claim.Spec.DataSourceRef != nil {
		return nil, controller.ProvisioningFinished, errors.New("this class makes empty volumes: leave selector and dataSource out")
	}
	if err := v.mounted(); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	size := claim.Spec.Resources.Requests[core.ResourceStorage]
	exact := core.HostPathDirectory
	volume := &core.PersistentVolume{
		TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"},
		ObjectMeta: meta.ObjectMeta{
			Name:        options.PVName,
			Annotations: map[string]string{provisioned: name},
		},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: size},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			StorageClassName:              options.StorageClass.Name,
			ClaimRef:                      &core.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name},
			PersistentVolumeSource: core.PersistentVolumeSource{
				// A directory that is there: the kubelet must never make one on the node's own disk.
				HostPath: &core.HostPathVolumeSource{Path: filepath.Join(v.onNodes, options.PVName), Type: &exact},
			},
		},
	}
	path := filepath.Join(v.root, options.PVName)
	if err := os.Mkdir(path, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, controller.ProvisioningFinished, err
	}
	// The umask took what any user of a pod needs; others see no volume but their own.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := v.setQuota(options.PVName, size.Value()); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := v.record(volume); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return volume, controller.ProvisioningFinished, nil
}

// record writes what a volume is beside it, all or nothing.
func (v *volumes) record(volume *core.PersistentVolume) error {
	text, err := json.Marshal(volume)
	if err != nil {
		return err
	}
	path := filepath.Join(v.root, records, volume.Name+".json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Delete removes a directory with all that is in it.
func (v *volumes) Delete(_ context.Context, volume *core.PersistentVolume) error {
	if volume.Annotations[provisioned] != name || volume.Spec.HostPath == nil ||
		volume.Spec.HostPath.Path != filepath.Join(v.onNodes, volume.Name) || strings.HasPrefix(volume.Name, ".") {
		return &controller.IgnoredError{Reason: "it is not a volume of this provisioner"}
	}
	if err := v.mounted(); err != nil {
		return err
	}
	gone := filepath.Join(v.root, removed+volume.Name)
	if err := os.Rename(filepath.Join(v.root, volume.Name), gone); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(v.root, records, volume.Name+".json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// enlarge gives a claim that asks for more what it asks for; nothing has to be restarted.
func (v *volumes) enlarge(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	wanted, has := claim.Spec.Resources.Requests[core.ResourceStorage], claim.Status.Capacity[core.ResourceStorage]
	if claim.Status.Phase != core.ClaimBound || wanted.Cmp(has) <= 0 {
		return nil
	}
	volume, err := v.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, meta.GetOptions{})
	if err != nil || volume.Annotations[provisioned] != name {
		return err
	}
	if err := v.mounted(); err != nil {
		return err
	}
	if err := v.setQuota(volume.Name, wanted.Value()); err != nil {
		return err
	}
	volume.Spec.Capacity[core.ResourceStorage] = wanted
	if volume, err = v.client.CoreV1().PersistentVolumes().Update(ctx, volume, meta.UpdateOptions{}); err != nil {
		return err
	}
	volume.TypeMeta = meta.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"}
	volume.ObjectMeta = meta.ObjectMeta{Name: volume.Name, Annotations: map[string]string{provisioned: name}}
	volume.Spec.ClaimRef = &core.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name}
	volume.Status = core.PersistentVolumeStatus{}
	if err := v.record(volume); err != nil {
		return err
	}
	claim = claim.DeepCopy()
	claim.Status.Capacity[core.ResourceStorage] = wanted
	_, err = v.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, meta.UpdateOptions{})
	return err
}

// must ends the program where it cannot go on.
func must(err error, doing string) {
	if err != nil {
		klog.ErrorS(err, doing)
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}

func main() {
	root := flag.String("root", "/volumes", "where this program sees the file system")
	onNodes := flag.String("on-nodes", "/var/lib/cephfs", "where nodes have it")
	flag.Parse()
	config, err := rest.InClusterConfig()
	must(err, "Reading the pod's credentials")
	client, err := kubernetes.NewForConfig(config)
	must(err, "Making a client")
	v := &volumes{*root, *onNodes, client}
	for err := v.mounted(); err != nil; err = v.mounted() {
		klog.ErrorS(err, "Waiting for the file system")
		time.Sleep(time.Second)
	}
	// Its names are other people's claims.
	must(os.Chmod(v.root, 0o700), "Closing the root of the file system")

	ctx := context.Background()
	factory := informers.NewSharedInformerFactory(client, time.Minute)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	changed := func(object any) {
		claim := object.(*core.PersistentVolumeClaim)
		if err := v.enlarge(ctx, claim); err != nil {
			klog.ErrorS(err, "Enlarging a volume; asked again within a minute", "claim", klog.KObj(claim))
		}
	}
	_, err = claims.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, after any) { changed(after) },
	})
	must(err, "Watching claims")
	factory.Start(ctx.Done())
	go func() {
		for range time.Tick(5 * time.Second) {
			if err := v.mounted(); err != nil {
				klog.ErrorS(err, "Waiting for the file system")
			}
		}
	}()
	controller.NewProvisionController(ctx, client, name, v, controller.LeaderElection(true)).Run(ctx)
}
