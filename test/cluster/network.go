package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The cluster's addresses are from the ranges that RFC 2544 reserves for benchmarks: no network outside uses them. They
// exist only in the cluster's own network namespace, which has no way out.
const (
	nodeName     = "wxe"
	nodeIP       = "198.18.255.1"
	podRange     = "198.18.0.0/24"
	serviceRange = "198.19.0.0/16"
	serviceIP    = "198.19.0.1" // of the Service kubernetes: the first of the range
	dnsIP        = "198.19.0.10"

	apiPort      = 26443 // the apiserver's, on the host and inside
	hostHTTPPort = 26480 // on the host: the node's port 80

	bridge = "wxe0" // carries the node's address; pods have a bridge of their own
)

// setUpNetwork gives the network namespace this runs in a loopback, the node's address and a default route. The route
// leads nowhere, but without one the kubelet and DNAT have no source address to pick.
func setUpNetwork() error {
	for _, arguments := range []string{
		"link set lo up",
		"link add " + bridge + " type bridge",
		"address add " + nodeIP + "/32 dev " + bridge,
		"link set " + bridge + " up",
		"route add default dev " + bridge,
	} {
		if output, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", arguments, err, output)
		}
	}
	return setUpForwarding()
}

// setUpForwarding lets the node route between its pods. Pods share a bridge: an answer to a Service's address must pass
// connection tracking too, or it arrives from the wrong address.
func setUpForwarding() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	const bridged = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	if !exists(bridged) {
		return nil // the module is built otherwise or absent: kube-proxy warns
	}
	return os.WriteFile(bridged, []byte("1"), 0)
}

// resolvConf is the node's and, by the kubelet, that of pods with dnsPolicy Default. Nothing outside can be asked.
const resolvConf = "nameserver " + dnsIP + "\noptions timeout:1 attempts:1\n"

// cniConfig connects pods to a bridge of the node and makes hostPort work.
const cniConfig = `{
  "cniVersion": "1.0.0",
  "name": "wxe",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "wxepods",
      "isGateway": true,
      "hairpinMode": true,
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "` + podRange + `"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}
  ]
}
`

func writeNetworkConfig() error {
	if err := os.MkdirAll(filepath.Join(etc, "cni"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(etc, "cni", "wxe.conflist"), []byte(cniConfig), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte(resolvConf), 0o644)
}
