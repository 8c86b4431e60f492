package main

// auditedUser is the operator's identity, by the chart's fixed name in the namespace that its documentation and the tests
// install it in. An audit policy knows no wildcards.
const auditedUser = "system:serviceaccount:wechatendpoint-system:wechatendpoint-operator"

// Files of the audit: what is recorded, and the record.
const (
	auditPolicyFile = etc + "/audit.yaml"
	auditLog        = logs + "/audit.log"
)

// auditPolicy records which requests the operator made and how they were answered, and nobody else's: the end-to-end tests
// compare them with the rights that it was given.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + auditedUser + `"]
- level: None
`

// auditFlags write each record before the request is answered. The log is kept whole, for as long as the cluster lives.
func auditFlags() []string {
	return []string{
		"--audit-policy-file=" + auditPolicyFile,
		"--audit-log-path=" + auditLog,
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=1024",
	}
}
