package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A component is a process of the cluster. It starts once its binary exists: the control plane runs while later parts
// are still being built.
type component struct {
	name      string
	part      part
	binary    string
	arguments []string
	needs     string // a file that must be there first, besides the binary; empty for none
}

// components are all processes of the cluster, in the order of starting. Most try by themselves until those they need
// answer. The kubelet gives up at once without containerd's socket, which is a minute away while containerd is built for the first time.
func components() []component {
	return []component{
		{name: "etcd", part: etcd, binary: "etcd", arguments: etcdFlags()},
		{name: "kube-apiserver", part: kubernetes, binary: "kube-apiserver", arguments: apiserverFlags()},
		{name: "kube-controller-manager", part: kubernetes, binary: "kube-controller-manager", arguments: controllerManagerFlags()},
		{name: "kube-scheduler", part: kubernetes, binary: "kube-scheduler", arguments: []string{
			"--kubeconfig=" + kubeconfigs["scheduler"], "--leader-elect=false", "--bind-address=127.0.0.1",
		}},
		{name: "containerd", part: containerd, binary: "containerd", arguments: []string{"--config=" + containerdConfigFile}},
		{name: "kubelet", part: kubernetes, binary: "kubelet", needs: containerdSock, arguments: []string{
			"--config=" + kubeletConfigFile, "--kubeconfig=" + kubeconfigs["kubelet"],
			"--hostname-override=" + nodeName, "--node-ip=" + nodeIP, "--root-dir=/var/lib/kubelet",
		}},
		{name: "kube-proxy", part: kubernetes, binary: "kube-proxy", arguments: []string{"--config=" + proxyConfigFile}},
		{name: "netpol", part: netpol, binary: "netpol", arguments: []string{
			"--kubeconfig=" + kubeconfigs["netpol"], "--node=" + nodeName, "--services=" + serviceRange,
		}},
	}
}

const (
	containerdConfigFile = etc + "/containerd.toml"
	registriesFolder     = etc + "/registries" // how containerd knows each of them
	kubeletConfigFile    = etc + "/kubelet.yaml"
	proxyConfigFile      = etc + "/kube-proxy.yaml"
	etcdAddress          = "http://127.0.0.1:2379" // no TLS: the namespace's loopback is the control plane's own
)

func etcdFlags() []string {
	return []string{
		"--name=" + nodeName,
		"--data-dir=" + state + "/etcd",
		"--unsafe-no-fsync", // the data lives no longer than the processes
		"--listen-client-urls=" + etcdAddress,
		"--advertise-client-urls=" + etcdAddress,
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=" + nodeName + "=http://127.0.0.1:2380",
		"--logger=zap", "--log-level=warn",
	}
}

func apiserverFlags() []string {
	return append(auditFlags(),
		"--etcd-servers="+etcdAddress,
		"--advertise-address="+nodeIP,
		"--bind-address=0.0.0.0",
		fmt.Sprintf("--secure-port=%d", apiPort),
		"--service-cluster-ip-range="+serviceRange,
		"--client-ca-file="+pki+"/ca.crt",
		"--tls-cert-file="+pki+"/apiserver.crt",
		"--tls-private-key-file="+pki+"/apiserver.key",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement", // the second as on OpenShift
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+pki+"/service-accounts.key",
		"--service-account-signing-key-file="+pki+"/service-accounts.key",
		"--kubelet-client-certificate="+pki+"/apiserver-kubelet.crt",
		"--kubelet-client-key="+pki+"/apiserver-kubelet.key",
		"--kubelet-certificate-authority="+pki+"/ca.crt",
		"--kubelet-preferred-address-types=InternalIP", // no DNS knows the node's name
	)
}

func controllerManagerFlags() []string {
	return []string{
		"--kubeconfig=" + kubeconfigs["controller-manager"],
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--controllers=*,-validatingadmissionpolicy-status-controller", // it only writes notes, and takes many seconds for the operator's policies
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + pki + "/service-accounts.key",
		"--root-ca-file=" + pki + "/ca.crt",
	}
}

// containerdConfig is for a root that may lack CAP_SYS_RESOURCE: without restrict_oom_score_adj every pod fails there.
// The shims' sockets and runc's state are below /run, which is the cluster's own.
func containerdConfig() string {
	return fmt.Sprintf(`version = 3
root = %q
state = "/run/containerd"

[grpc]
  address = %q

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %q

[plugins."io.containerd.cri.v1.images".registry]
  config_path = %q

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [%q]
  conf_dir = %q

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins."io.containerd.nri.v1.nri"]
  disable = true
`, state+"/containerd", containerdSock, imageOf(pause), registriesFolder, cniBin, etc+"/cni")
}

// kubeletConfig never evicts and never collects images: the disk is the developer's, who may keep it as full as they
// like, and an image that was loaded from a file cannot be pulled again. For the same reason it asks for no credentials again where it has pulled
// an image by another name before.
func kubeletConfig() string {
	return `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: ` + nodeIP + `
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: ` + pki + `/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: ` + pki + `/kubelet.crt
tlsPrivateKeyFile: ` + pki + `/kubelet.key
containerRuntimeEndpoint: unix://` + containerdSock + `
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: [` + dnsIP + `]
resolvConf: ` + etc + `/resolv.conf
volumePluginDir: ` + state + `/volume-plugins
staticPodPath: ""
enforceNodeAllocatable: [none]
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
imageGCHighThresholdPercent: 100
imagePullCredentialsVerificationPolicy: NeverVerify
oomScoreAdj: 0
shutdownGracePeriod: 0s
`
}

// proxyConfig leaves the host's connection tracking limits alone: they are not the namespace's to set.
func proxyConfig() string {
	return `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: ` + podRange + `
hostnameOverride: ` + nodeName + `
clientConnection: {kubeconfig: ` + kubeconfigs["proxy"] + `}
oomScoreAdj: 0
conntrack:
  maxPerCore: 0
  min: 0
  tcpEstablishedTimeout: 0s
  tcpCloseWaitTimeout: 0s
`
}

// writeConfig writes what the components read.
func writeConfig() error {
	for file, content := range map[string]string{
		containerdConfigFile: containerdConfig(),
		kubeletConfigFile:    kubeletConfig(),
		proxyConfigFile:      proxyConfig(),
		auditPolicyFile:      auditPolicy,
	} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return writeNetworkConfig()
}

// environment is all that components see: no proxy settings or credentials of whoever ran up. containerd finds its shim
// in the path. They collect garbage when there is much of it, as the API servers of other tests do, and more often from 1 GiB on.
func environment() []string {
	path := []string{containerd.folder(), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	return []string{"PATH=" + strings.Join(path, ":"), "HOME=/root", "GOGC=300", "GOMEMLIMIT=1GiB"}
}

func (c component) path() string { return c.part.path(c.binary) }

func (c component) log() string { return filepath.Join(logs, c.name+".log") }
