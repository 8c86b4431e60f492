// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a document. WeChat's own have some forty fields and a depth of five.
const (
	maxFields = 256
	maxDepth  = 32
)

// Form is the notation of a message.
type Form int

// The notations. WeCom's bots use JSON with lower-case names, also in the envelope.
const (
	FormXML Form = iota
	FormJSON
	FormJSONLower
	// FormOther is a text that is neither: it has no fields.
	FormOther
)

// ContentType is what an app is told about a message of the form.
func (f Form) ContentType() string {
	switch f {
	case FormXML:
		return "text/xml; charset=utf-8"
	case FormJSON, FormJSONLower:
		return "application/json; charset=utf-8"
	default:
		return "text/plain; charset=utf-8"
	}
}

// FormOf tells the notation by the first byte that is no white space. A Content-Type is the client's word and not
// documented; it is not asked.
func FormOf(document []byte) Form {
	trimmed := bytes.TrimLeft(withoutBOM(document), whiteSpace)
	switch {
	case len(trimmed) > 0 && trimmed[0] == '<':
		return FormXML
	case len(trimmed) > 0 && trimmed[0] == '{':
		return FormJSON
	}
	return FormOther
}

// whiteSpace is XML's, which is also JSON's. Unicode has more, which neither allows.
const whiteSpace = " \t\r\n"

// field is one element below the root of an XML document, or one member of a JSON object.
type field struct {
	name string
	// text is the decoded value, without white space at its ends; empty for one with children, and the literal for a
	// JSON value that is no string.
	text string
	// leaf says that the value is a text: no children, and a string in JSON.
	leaf bool
	// encrypts says that an Encrypt stands somewhere within: a parser that looks for the name at any depth, as Tencent's
	// own samples do, finds that one.
	encrypts bool
	// start and end are the offsets of the field in the document: the whole element, or the member's name and value.
	start, end int
}

var errDocument = errors.New("not one well-formed XML or JSON document")

// readFields walks a document once and returns the fields at depth one in their order. It reads nothing that two parsers
// read differently: no DOCTYPE and so no entities of the document's own, no processing instruction but a declaration at
// the start, no encoding but UTF-8, nothing after the end.
func readFields(document []byte) ([]field, error) {
	if !utf8.Valid(document) {
		return nil, errDocument
	}
	switch FormOf(document) {
	case FormXML:
		return readXML(document)
	case FormJSON:
		return readJSON(document)
	default:
		return nil, errDocument
	}
}

func withoutBOM(document []byte) []byte {
	return bytes.TrimPrefix(document, []byte("\xef\xbb\xbf"))
}

// declaration is what may stand in <?xml ?>. The decoder looks for encoding= only and misses it where white space stands
// before the sign, so that a parser of the app's would read the document in another encoding.
var declaration = regexp.MustCompile(
	`^version\s*=\s*(?:"1\.0"|'1\.0')(?:\s+encoding\s*=\s*(?i:"utf-8"|'utf-8'))?(?:\s+standalone\s*=\s*(?:"yes"|'yes'|"no"|'no'))?\s*$`)

// xmlWalk is the state of a walk through one XML document.
type xmlWalk struct {
	fields []field
	open   field // the field under way
	text   strings.Builder
	start  int // of the document, behind a byte order mark
	depth  int
	roots  int
}

// HasDoctype reports whether an XML document begins with a DOCTYPE, behind white space, a declaration and comments. It reads
// no further than that, and says nothing about whether the rest is well-formed.
func HasDoctype(document []byte) bool {
	rest := withoutBOM(document)
	for {
		rest = bytes.TrimLeft(rest, whiteSpace)
		end := ""
		switch {
		case bytes.HasPrefix(rest, []byte("<?")):
			end = "?>"
		case bytes.HasPrefix(rest, []byte("<!--")):
			end = "-->"
		default:
			return bytes.HasPrefix(rest, []byte("<!"))
		}
		_, after, found := bytes.Cut(rest, []byte(end))
		if !found {
			return false
		}
		rest = after
	}
}

func readXML(document []byte) ([]field, error) {
	body := withoutBOM(document)
	skipped := len(document) - len(body)
	decoder := xml.NewDecoder(bytes.NewReader(body))
	walk := xmlWalk{start: skipped}
	for {
		start := int(decoder.InputOffset())
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errDocument
		}
		if err := walk.take(token, skipped+start, skipped+int(decoder.InputOffset())); err != nil {
			return nil, err
		}
	}
	if walk.depth != 0 || walk.roots != 1 {
		return nil, errDocument
	}
	return walk.fields, nil
}

func (w *xmlWalk) take(token xml.Token, start, end int) error {
	switch t := token.(type) {
	case xml.StartElement:
		return w.enter(t, start)
	case xml.EndElement:
		w.leave(end)
	case xml.CharData:
		if w.depth == 0 && len(bytes.Trim(t, whiteSpace)) > 0 {
			return errDocument
		}
		if w.depth == 2 {
			w.text.Write(t)
		}
	case xml.Comment:
		w.open.leaf = false // a comment within a text: some parsers end it there
	case xml.ProcInst:
		if t.Target != "xml" || start > w.start || !declaration.Match(t.Inst) {
			return errDocument
		}
	case xml.Directive:
		return errDocument
	}
	return nil
}

func (w *xmlWalk) enter(element xml.StartElement, start int) error {
	name := element.Name.Local
	if element.Name.Space != "" {
		name = element.Name.Space + ":" + name // no field of the protocol's has a namespace
	}
	if slices.ContainsFunc(element.Attr, declaresNamespace) {
		return errDocument // xmlns:p="" makes the decoder take <p:Encrypt> for <Encrypt>
	}
	switch w.depth {
	case 0:
		w.roots++
		if name != "xml" {
			return errDocument
		}
	case 1:
		w.text.Reset()
		w.open = field{name: name, leaf: true, start: start}
	default:
		w.open.leaf = false
		w.open.encrypts = w.open.encrypts || strings.EqualFold(element.Name.Local, "Encrypt")
	}
	w.depth++
	if w.roots > 1 || w.depth > maxDepth || len(w.fields) >= maxFields {
		return errDocument
	}
	return nil
}

func declaresNamespace(attribute xml.Attr) bool {
	return attribute.Name.Space == "xmlns" || attribute.Name.Local == "xmlns"
}

func (w *xmlWalk) leave(end int) {
	w.depth--
	if w.depth != 1 {
		return
	}
	w.open.end = end
	if w.open.leaf {
		w.open.text = strings.Trim(w.text.String(), whiteSpace)
	}
	w.fields = append(w.fields, w.open)
}

func readJSON(document []byte) ([]field, error) {
	body := withoutBOM(document)
	skipped := len(document) - len(body)
	decoder := json.NewDecoder(bytes.NewReader(body))
	if _, err := decoder.Token(); err != nil { // the brace that FormOf saw
		return nil, errDocument
	}
	var fields []field
	for decoder.More() {
		f, err := readMember(decoder, body)
		if err != nil || len(fields) == maxFields {
			return nil, errDocument
		}
		f.start, f.end = f.start+skipped, f.end+skipped
		fields = append(fields, f)
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, errDocument
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errDocument
	}
	return fields, nil
}

func readMember(decoder *json.Decoder, body []byte) (field, error) {
	before := int(decoder.InputOffset())
	name, err := decoder.Token()
	if err != nil {
		return field{}, errDocument
	}
	f := field{name: name.(string), start: before + bytes.IndexByte(body[before:], '"')}
	var value json.RawMessage
	if err := decoder.Decode(&value); err != nil {
		return field{}, errDocument
	}
	f.end = int(decoder.InputOffset())
	switch value[0] {
	case '"':
		f.leaf = true
		if err := json.Unmarshal(value, &f.text); err != nil {
			return field{}, errDocument
		}
		f.text = strings.Trim(f.text, whiteSpace)
	case '{', '[':
		depth, encrypts := scanJSON(value)
		if 1+depth > maxDepth {
			return field{}, errDocument
		}
		f.encrypts = encrypts
	default:
		f.text = string(value)
	}
	return f, nil
}

// scanJSON returns how deep a valid JSON value nests, since many parsers recurse, and whether a name in it is Encrypt.
func scanJSON(value []byte) (deepest int, encrypts bool) {
	depth := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		case '"':
			text := value[i:textEnd(value, i)]
			i += len(text) - 1
			rest := bytes.TrimLeft(value[i+1:], whiteSpace)
			if len(rest) > 0 && rest[0] == ':' && isEncrypt(text) {
				encrypts = true
			}
		}
	}
	return deepest, encrypts
}

// textEnd returns the offset behind the quoted text that begins at start.
func textEnd(value []byte, start int) int {
	for i := start + 1; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(value)
}

// isEncrypt reports whether a quoted name is Encrypt, however it is escaped.
func isEncrypt(quoted []byte) bool {
	var name string
	return json.Unmarshal(quoted, &name) == nil && strings.EqualFold(name, "Encrypt")
}
