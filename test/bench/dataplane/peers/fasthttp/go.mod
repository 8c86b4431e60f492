module github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/peers/fasthttp

go 1.26.0

replace github.com/wechatendpoint/wechatendpoint => ../../../../..

require (
	github.com/valyala/fasthttp v1.73.0
	github.com/wechatendpoint/wechatendpoint v0.0.0-00010101000000-000000000000
)

require (
	github.com/andybalholm/brotli v1.2.2 // indirect
	github.com/klauspost/compress v1.19.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
)
