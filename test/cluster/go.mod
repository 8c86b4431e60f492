module github.com/wechatendpoint/wechatendpoint/test/cluster

go 1.26.0
