module github.com/wechatendpoint/wechatendpoint/test/interop

go 1.26.0

replace github.com/wechatendpoint/wechatendpoint => ../..

require (
	github.com/google/go-cmp v0.7.0
	github.com/silenceper/wechat/v2 v2.1.6
	github.com/sirupsen/logrus v1.9.0
	github.com/wechatendpoint/wechatendpoint v0.0.0-00010101000000-000000000000
	github.com/wechatpay-apiv3/wechatpay-go v0.2.20
	github.com/xen0n/go-workwx v1.7.0
)

require go.yaml.in/yaml/v2 v2.4.4 // indirect

require (
	github.com/bradfitz/gomemcache v0.0.0-20220106215444-fb4bf637b56d // indirect
	github.com/cenkalti/backoff/v4 v4.1.3 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dgryski/go-rendezvous v0.0.0-20200823014737-9f7001d12a5f // indirect
	github.com/fatih/structs v1.1.0 // indirect
	github.com/go-redis/redis/v8 v8.11.5 // indirect
	github.com/spf13/cast v1.4.1 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	github.com/tidwall/gjson v1.14.1 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	sigs.k8s.io/yaml v1.6.0
)
