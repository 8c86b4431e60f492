// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package deviations

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// minimal is an object with what it must have.
func (w *walk) minimal(path string, schema map[string]any) map[string]any {
	object := map[string]any{}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		property := schema["properties"].(map[string]any)[name.(string)].(map[string]any)
		object[name.(string)] = w.least(path+"."+name.(string), property)
	}
	for suffix, more := range needed {
		if strings.HasSuffix(path, suffix) {
			maps.Copy(object, more)
		}
	}
	return object
}

// needed is what objects must have, and their schema does not say, by the end of their path.
var needed = map[string]map[string]any{
	"ontainers[]":          {"name": "other", "image": "other"},
	"Probe":                {"httpGet": map[string]any{"port": int64(80)}},
	".volumes[]":           {"name": "other"},
	"volumeMounts[]":       {"name": "config", "mountPath": "/other"},
	"tolerations[]":        {"key": "other", "operator": "Exists"},
	"envFrom[]":            {"configMapRef": map[string]any{"name": "other"}},
	"configMapRef":         {"name": "other"},
	"secretRef":            {"name": "other"},
	"configMapKeyRef":      {"name": "other", "key": "other"},
	"secretKeyRef":         {"name": "other", "key": "other"},
	"matchExpressions[]":   {"key": "other", "operator": "In", "values": []any{"other"}},
	"matchFields[]":        {"key": "metadata.name", "operator": "In", "values": []any{"other"}},
	".sources[].secret":    {"name": "other"},
	".sources[].configMap": {"name": "other"},
	"storageos":            {"volumeName": "other"},
	"backendRefs[]":        {"name": "other", "port": int64(80)},
	"backendRef":           {"name": "other", "port": int64(80)},
	"urlRewrite.path":      {"type": "ReplaceFullPath", "replaceFullPath": "/other"},
	"http.paths[]":         {"path": "/other", "pathType": "Exact", "backend": map[string]any{"service": map[string]any{"name": "other", "port": map[string]any{"number": int64(80)}}}},
	"ackend.service":       {"name": "other", "port": map[string]any{"number": int64(80)}},
	"gress[].ports[]":      {"port": int64(80)},
	"ipBlock":              {"cidr": "10.7.0.0/16"},
	".policies[]":          {"type": "Pods", "value": int64(1), "periodSeconds": int64(15)},
	"object.target":        {"type": "Value", "value": "1"},
	"external.target":      {"type": "Value", "value": "1"},
	"pods.target":          {"type": "AverageValue", "averageValue": "1"},
	"esource.target":       {"type": "Utilization", "averageUtilization": int64(60)},
}

// unions are objects with fields of which only one may be there, by the end of their path. Without names, all but name are.
var unions = map[string][]string{
	"Probe": {"exec", "grpc", "httpGet", "tcpSocket"}, "envFrom[]": {"configMapRef", "secretRef"}, "spec": {"minAvailable", "maxUnavailable"},
	"metrics[]": {"containerResource", "external", "object", "pods", "resource"}, "target": {"averageUtilization", "averageValue", "value"},
	".volumes[]": nil, ".sources[]": nil, "valueFrom": nil, "preStop": nil, "postStart": nil, "ackend": nil, "service.port": {"name", "number"},
}

// rivalsOf are the fields that may not be beside the one of this name.
func rivalsOf(path, name string, properties map[string]any) []string {
	all := slices.Sorted(maps.Keys(properties))
	if name == "ipBlock" {
		return all
	}
	for suffix, union := range unions {
		if !strings.HasSuffix(path, suffix) {
			continue
		}
		if union == nil {
			union = slices.DeleteFunc(all, func(name string) bool { return name == "name" && suffix != "service.port" })
		}
		if slices.Contains(union, name) {
			return union
		}
	}
	return nil
}

// with returns the object with another field, and without those that may not be beside it.
func with(path string, properties, object map[string]any, name string, value any) map[string]any {
	object = maps.Clone(object)
	rivals := rivalsOf(path, name, properties)
	maps.DeleteFunc(object, func(key string, _ any) bool { return slices.Contains(rivals, key) })
	switch { // a union that says which one it is
	case strings.HasSuffix(path, "filters[]") && name != "type":
		object["type"] = cmp.Or(map[string]string{"cors": "CORS", "urlRewrite": "URLRewrite"}[name], strings.ToUpper(name[:1])+name[1:])
	case strings.HasSuffix(path, "metrics[]") && name != "type":
		object["type"] = strings.ToUpper(name[:1]) + name[1:]
	case strings.HasSuffix(path, "target") && name != "type":
		object["type"] = map[string]string{"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}[name]
	}
	object[name] = value
	return object
}

// least is the first value of a field.
func (w *walk) least(path string, schema map[string]any) any {
	schema = w.resolve(schema)
	switch {
	case schema["properties"] != nil:
		return w.minimal(path, schema)
	case schema["items"] != nil:
		return []any{w.least(path+"[]", schema["items"].(map[string]any))}
	case schema["additionalProperties"] != nil:
		return map[string]any{}
	default:
		return scalars(path, schema)[0]
	}
}

// scalars are values for a field, the likeliest first.
func scalars(path string, schema map[string]any) []any {
	if enum, ok := schema["enum"].([]any); ok {
		return enum
	}
	format, _ := schema["format"].(string)
	switch {
	case format == "int-or-string" || schema["x-kubernetes-int-or-string"] == true:
		return []any{int64(2), int64(1), "50%", "other", "http"}
	case schema["type"] == "boolean":
		return []any{true, false}
	case schema["type"] == "integer" || schema["type"] == "number":
		return []any{int64(1), int64(2), int64(80), int64(0), int64(65535)}
	case format == "quantity":
		return []any{"1", "2"}
	case format == "byte" && words[path] != nil:
		return words[path]
	case format == "byte":
		return []any{"e30="}
	case format == "date-time":
		return []any{"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"}
	case schema["type"] == "object" || schema["type"] == nil:
		return []any{map[string]any{}, "1", map[string]any{"other": "other"}}
	}
	var values []any
	for suffix, more := range words {
		if strings.HasSuffix("."+path, "."+suffix) {
			values = append(values, more...)
		}
	}
	return append(values, "other", "/other", "Other", "example.com/other", "10.0.7.7", "1")
}

// nearly are values that differ little.
func nearly(value any) []any {
	switch value := value.(type) {
	case string:
		return []any{value + "0", value + " "}
	case int64:
		return []any{value + 1}
	}
	return nil
}

func backwards(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}

// words are strings that some fields want, by the end of their path.
var words = map[string][]any{
	"apiVersion": {"v1", "apps/v1"}, "operator": {"Exists", "In", "Equal"}, "effect": {"NoSchedule"}, "protocol": {"UDP", "TCP"},
	"pathType": {"Prefix", "Exact"}, "scheme": {"HTTPS"}, "type": {"Other", "Pods"}, "selectPolicy": {"Min"},
	"fieldPath": {"metadata.name"}, "resource": {"limits.cpu"}, "resourceName": {"cpu"}, "restartPolicy": {"Never", "NotRequired"},
	"diskURI": {"https://other.blob.core.windows.net/other/other.vhd"}, "cidr": {"10.7.0.0/16", "10.8.0.0/16"}, "except[]": {"10.7.1.0/24"},
	"data.key": {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "data.endpoint.json": {"eyJnZW5lcmF0aW9uIjoiMCJ9"},
	"clusterIP": {"10.0.77.77"}, "clusterIPs[]": {"10.0.77.77"}, "request": {"5s", "other"}, "backendRequest": {"1s"}, "allowOrigins[]": {"https://other.example.com"},
}

func without(values []any, value any) []any {
	return slices.DeleteFunc(slices.Clone(values), func(other any) bool { return fmt.Sprint(other) == fmt.Sprint(value) })
}
