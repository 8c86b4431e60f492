// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package decode reads JSON objects of the Kubernetes API field by field, and never fails as a whole.
//
// A client of Kubernetes decodes all objects of a list or none. The schema of a custom resource is looser than the Go types: what
// the API server has taken may be no value of the type, or one that takes hours to read. With the standard decoder, one such object of
// one tenant would hide the objects of all others from the operator.
package decode

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// QuantityPattern is what is read of a resource.Quantity. ParseQuantity itself takes an exponent of any size, and with 20 digits
// before it computes that power of ten: minutes for e1000000, and all the memory for e1000000000.
const QuantityPattern = `^[+-]?([0-9]{1,20}([.][0-9]{0,20})?|[.][0-9]{1,20})([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$`

// TimePattern is the form of a time that is read: RFC 3339. The format date-time of an API server takes more, such as a comma in the seconds
// or a zone of 88 hours.
const TimePattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`

// A time that is read is of the years from FirstYear to before EndYear, so that its year has four digits in every zone:
// 9999-12-31T23:59:59-23:59 cannot be written in UTC.
const (
	FirstYear = 1000
	EndYear   = 9000
)

var quantityPattern = regexp.MustCompile(QuantityPattern)

// Limits bound what one object may take of the memory. Zero is no limit.
type Limits struct {
	// FieldBytes is the most that a field of the object itself may have, as JSON.
	FieldBytes int
	// Values is the most that all fields together may hold, each item of a list and each section counted.
	Values int
}

// Object decodes a JSON object into target, a pointer to a struct, and returns what it could not read: the path of each such
// field, which begins with name, and why; at most 4 of each field of the object itself. Such a field is left at its zero value, and so is a list or a map that holds it. Fields
// that the struct does not have are skipped.
func Object(name string, data []byte, target any, limits Limits) (problems []string) {
	d := &decoder{object: name, limits: limits, untold: 1}
	d.fields(name, data, reflect.ValueOf(target).Elem())
	return d.problems
}

// Writable reports whether a time can be written, so that it is read again.
func Writable(t time.Time) bool {
	year := t.UTC().Year()
	return year >= FirstYear && year < EndYear
}

// maxProblems is how many problems of each field of the object itself are told: what tells of an object must not be larger than the object.
const maxProblems = 4

// maxPath is how much of a path is told, which may hold keys that somebody chose. Bytes.
const maxPath = 512

type decoder struct {
	object   string
	limits   Limits
	values   int
	failures int // all, of which some are told
	untold   int // of the field of the object itself that is read now, how many more are told
	problems []string
}

func (d *decoder) fail(path, format string, arguments ...any) {
	d.failures++
	if d.untold--; d.untold < 0 {
		return
	}
	if len(path) > maxPath {
		path = strings.ToValidUTF8(path[:maxPath], "") + "…"
	}
	d.problems = append(d.problems, path+" "+fmt.Sprintf(format, arguments...))
}

// fields decodes an object into a struct.
func (d *decoder) fields(path string, data []byte, target reflect.Value) {
	var found map[string]json.RawMessage
	if err := json.Unmarshal(data, &found); err != nil {
		d.fail(path, "is no object")
		return
	}
	d.inlined(path, found, target)
}

// inlined decodes into the fields of a struct, and into those of the structs that it embeds.
func (d *decoder) inlined(path string, found map[string]json.RawMessage, target reflect.Value) {
	for i := range target.NumField() {
		field := target.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		data, there := found[name]
		if path == d.object {
			d.untold = maxProblems
		}
		switch {
		case field.Anonymous && name == "":
			d.inlined(path, found, target.Field(i))
		case !there || name == "-":
		case d.limits.FieldBytes > 0 && path == d.object && len(data) > d.limits.FieldBytes:
			d.fail(path+"."+name, "has %d bytes, of which at most %d are read", len(data), d.limits.FieldBytes)
		default:
			d.value(path+"."+name, data, target.Field(i))
		}
	}
}

func (d *decoder) value(path string, data []byte, target reflect.Value) {
	if d.values++; d.limits.Values > 0 && d.values > d.limits.Values {
		if d.values == d.limits.Values+1 {
			d.fail(path, "is one value too many: at most %d values are read of one object", d.limits.Values)
		}
		return
	}
	if string(data) == "null" {
		return
	}
	switch typed := target.Addr().Interface().(type) {
	case *resource.Quantity:
		d.quantity(path, data, typed)
	case *metav1.Time:
		if err := typed.UnmarshalJSON(data); err != nil || !Writable(typed.Time) {
			typed.Time = time.Time{}
			d.fail(path, "is no time such as 2026-01-31T12:00:00Z")
		}
	case json.Unmarshaler:
		d.plain(path, data, target)
	default:
		d.composed(path, data, target)
	}
}

func (d *decoder) quantity(path string, data []byte, target *resource.Quantity) {
	text := strings.Trim(string(data), `"`)
	if !quantityPattern.MatchString(text) || target.UnmarshalJSON(data) != nil {
		d.fail(path, "is no quantity such as 64Mi or 100m")
	}
}

// composed decodes what consists of other values, and leaves a list or a map out that does not hold only such as can be read.
func (d *decoder) composed(path string, data []byte, target reflect.Value) {
	before := d.failures
	switch target.Kind() {
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		if d.value(path, data, target.Elem()); d.failures > before && target.Elem().Kind() != reflect.Struct {
			target.SetZero()
		}
	case reflect.Struct:
		d.fields(path, data, target)
	case reflect.Slice:
		if target.Type().Elem().Kind() == reflect.Uint8 {
			d.plain(path, data, target)
		} else if d.list(path, data, target); d.failures > before {
			target.SetZero()
		}
	case reflect.Map:
		if d.entries(path, data, target); d.failures > before {
			target.SetZero()
		}
	default:
		d.plain(path, data, target)
	}
}

func (d *decoder) list(path string, data []byte, target reflect.Value) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		d.fail(path, "is no list")
		return
	}
	if d.limits.Values > 0 && len(items) > d.limits.Values {
		d.fail(path, "has %d items: at most %d values are read of one object", len(items), d.limits.Values)
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(items), len(items)))
	for i, item := range items {
		d.value(fmt.Sprintf("%s[%d]", path, i), item, target.Index(i))
	}
}

func (d *decoder) entries(path string, data []byte, target reflect.Value) {
	var found map[string]json.RawMessage
	if err := json.Unmarshal(data, &found); err != nil {
		d.fail(path, "is no map")
		return
	}
	target.Set(reflect.MakeMapWithSize(target.Type(), len(found)))
	for _, key := range slices.Sorted(maps.Keys(found)) { // the same problems in the same order, or a status that tells of them would never settle
		value := reflect.New(target.Type().Elem()).Elem()
		d.value(path+"."+key, found[key], value)
		target.SetMapIndex(reflect.ValueOf(key).Convert(target.Type().Key()), value)
	}
}

// plain decodes a value that the standard decoder can judge.
func (d *decoder) plain(path string, data []byte, target reflect.Value) {
	if err := json.Unmarshal(data, target.Addr().Interface()); err != nil {
		target.SetZero()
		d.fail(path, "is no %s", kindOf(target.Type()))
	}
}

// kindOf names a type in words for who writes YAML.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[metav1.Duration]():
		return "duration such as 24h or 4500ms"
	case t == reflect.TypeFor[intstr.IntOrString]():
		return "number or name"
	case t.Kind() == reflect.Int32:
		return "whole number of 32 bits"
	case t.Kind() == reflect.Int64:
		return "whole number of 64 bits"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "text"
	}
	return t.Name()
}
