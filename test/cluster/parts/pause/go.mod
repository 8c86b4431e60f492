module github.com/wechatendpoint/wechatendpoint/test/cluster/parts/pause

go 1.26.0
