// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "github.com/wechatendpoint/wechatendpoint/api/decode"

// specLimits are far above what a spec needs, of which each section may be as long as the API server takes. A list of small values takes
// several times as much of the memory as of the JSON text.
var specLimits = decode.Limits{FieldBytes: 96 << 10, Values: 4096}

// UnmarshalJSON reads what can be read, and never fails: an endpoint whose spec cannot be read must not hide the others of its list.
// Unreadable names what was left out.
func (s *WeChatEndpointSpec) UnmarshalJSON(data []byte) error {
	*s = WeChatEndpointSpec{}
	s.Unreadable = decode.Object("spec", data, s, specLimits)
	return nil
}

// UnmarshalJSON never fails either. Rights rest on a status, so that of one which cannot be read as a whole nothing is believed.
func (s *WeChatEndpointStatus) UnmarshalJSON(data []byte) error {
	*s = WeChatEndpointStatus{}
	if problems := decode.Object("status", data, s, specLimits); problems != nil {
		*s = WeChatEndpointStatus{Unreadable: problems}
	}
	return nil
}

// Readable reports whether the spec could be read as a whole. Of one that could not, fields with zero values say nothing.
func (s *WeChatEndpointSpec) Readable() bool {
	return len(s.Unreadable) == 0 && s.Platform != ""
}

// UnmarshalJSON reads what can be read, as that of an endpoint's spec does.
func (s *WeChatGatewaySpec) UnmarshalJSON(data []byte) error {
	*s = WeChatGatewaySpec{}
	s.Unreadable = decode.Object("spec", data, s, specLimits)
	return nil
}

// UnmarshalJSON reads all or nothing, as that of an endpoint's status does.
func (s *WeChatGatewayStatus) UnmarshalJSON(data []byte) error {
	*s = WeChatGatewayStatus{}
	if problems := decode.Object("status", data, s, specLimits); problems != nil {
		*s = WeChatGatewayStatus{Unreadable: problems}
	}
	return nil
}
