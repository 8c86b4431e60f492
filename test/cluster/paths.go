package main

import (
	"os"
	"path/filepath"
)

// state is everything a running cluster writes; down removes it. One machine runs one cluster, so the place is fixed.
const state = "/var/lib/wechatendpoint-cluster"

// Files of the state folder.
const (
	pidFile        = state + "/supervisor.pid"
	initPIDFile    = state + "/init.pid"
	readyFile      = state + "/ready"  // exists once up has seen everything answer
	failedFile     = state + "/failed" // says which component keeps ending while the cluster starts
	adminConfig    = state + "/admin.kubeconfig"
	containerdSock = state + "/containerd.sock"
	apiSock        = state + "/api.sock"  // the apiserver, for the host's side of the relay
	httpSock       = state + "/http.sock" // the node's port 80, likewise
	logs           = state + "/logs"
	pki            = state + "/pki"
	etc            = state + "/etc" // configuration files
	node           = state + "/node"
)

// cacheRoot is the per-user folder of what was built, outside any checkout; tools/install and ./cluster use the same.
func cacheRoot() string {
	if dir := os.Getenv("WXE_CACHE"); dir != "" {
		return filepath.Join(dir, "cluster")
	}
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		base = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	return filepath.Join(base, "wechatendpoint", "cluster")
}

// sourceRoot is the folder of this program's sources, where the parts' go.mod files are: ./cluster says it.
func sourceRoot() string {
	if dir := os.Getenv("WXE_CLUSTER_SOURCE"); dir != "" {
		return dir
	}
	return "."
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
