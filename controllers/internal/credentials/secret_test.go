// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

const (
	goodToken = "a-fine-token"
	goodAES   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	goodAPIv3 = "abcdefghijklmnopqrstuvwxyz012345"
	goodID    = "PUB_KEY_ID_0112345678902024"
)

func read(platform v1alpha1.Platform, mode v1alpha1.MessageMode, data map[string]string) (config.Pair, *verdict.Problem) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-wechat", Labels: map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsUser}},
		Data:       bytesOf(data),
	}
	return Pair(secret, &v1alpha1.WeChatEndpoint{Spec: v1alpha1.WeChatEndpointSpec{
		Platform: platform, MessageMode: mode, Credentials: v1alpha1.CredentialsReference{SecretName: "shop-wechat"},
	}})
}

func TestPairHoldsWhatThePlatformNeedsAndNothingElse(t *testing.T) {
	public, certificate := newPublicKey(t), newCertificate(t, 0x0abc)
	all := map[string]string{
		"token": goodToken, "encodingAESKey": goodAES, "apiV3Key": goodAPIv3,
		"publicKey": public, "publicKeyID": goodID, "certificates": certificate + "\n" + newCertificate(t, 0x1def),
	}
	sealed := config.Pair{Token: goodToken, EncodingAESKey: goodAES}
	for name, test := range map[string]struct {
		platform v1alpha1.Platform
		mode     v1alpha1.MessageMode
		want     config.Pair
	}{
		"an Official Account in plaintext":  {v1alpha1.PlatformOfficialAccount, v1alpha1.MessageModePlaintext, config.Pair{Token: goodToken}},
		"an Official Account, compatible":   {v1alpha1.PlatformOfficialAccount, v1alpha1.MessageModeCompatible, sealed},
		"an encrypted Mini Program":         {v1alpha1.PlatformMiniProgram, v1alpha1.MessageModeEncrypted, sealed},
		"a Shop":                            {v1alpha1.PlatformShop, "", sealed},
		"WeCom":                             {v1alpha1.PlatformWeCom, "", sealed},
		"OpenPlatform, with the mode named": {v1alpha1.PlatformOpenPlatform, v1alpha1.MessageModeEncrypted, sealed},
		"Pay": {v1alpha1.PlatformPay, "", config.Pair{APIv3Key: goodAPIv3, PlatformKeys: map[string]string{
			goodID: public, "0ABC": certificate, "1DEF": "",
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, problem := read(test.platform, test.mode, all)
			if problem != nil {
				t.Fatal(problem.Message)
			}
			if text, ok := got.PlatformKeys["1DEF"]; ok && strings.HasPrefix(text, "-----BEGIN CERTIFICATE-----") {
				got.PlatformKeys["1DEF"] = "" // made anew for each test
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("read otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPairSaysWhichKeyIsWrongAndQuotesNone(t *testing.T) {
	public, certificate := newPublicKey(t), newCertificate(t, 1)
	endless := strings.Repeat("\n", 64<<10)
	many := strings.Builder{}
	for serial := range int64(config.MaxPlatformKeys + 1) {
		many.WriteString(newCertificate(t, 100+serial))
	}
	const missing, malformed = v1alpha1.ReasonSecretKeyMissing, v1alpha1.ReasonSecretMalformed
	for name, test := range map[string]struct {
		platform        v1alpha1.Platform
		data            map[string]string
		reason, message string
	}{
		"no token":              {v1alpha1.PlatformShop, map[string]string{"encodingAESKey": goodAES}, missing, "has no key token: put the Token"},
		"an empty token":        {v1alpha1.PlatformShop, map[string]string{"token": ""}, malformed, "key token is empty"},
		"no EncodingAESKey":     {v1alpha1.PlatformShop, map[string]string{"token": goodToken}, missing, "has no key encodingAESKey: put the EncodingAESKey"},
		"a short one":           {v1alpha1.PlatformShop, map[string]string{"token": goodToken, "encodingAESKey": "hidden"}, malformed, "key encodingAESKey has 6 characters"},
		"one with a newline":    {v1alpha1.PlatformShop, map[string]string{"token": goodToken, "encodingAESKey": goodAES + "\n"}, malformed, "newline of echo"},
		"no APIv3 key":          {v1alpha1.PlatformPay, map[string]string{"publicKey": public, "publicKeyID": goodID}, missing, "has no key apiV3Key"},
		"a short APIv3 key":     {v1alpha1.PlatformPay, map[string]string{"apiV3Key": "hidden"}, malformed, "key apiV3Key has 6 characters"},
		"no platform key":       {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3}, missing, "neither key publicKey (with publicKeyID) nor key certificates"},
		"a key without id":      {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "publicKey": public}, missing, "has no key publicKeyID"},
		"an id without key":     {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "publicKeyID": goodID}, missing, "has no key publicKey:"},
		"an id with a newline":  {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "publicKey": public, "publicKeyID": goodID + "\n"}, malformed, "key publicKeyID begins or ends with white space"},
		"another id":            {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "publicKey": public, "publicKeyID": "hidden"}, malformed, "key publicKeyID is not like PUB_KEY_ID_"},
		"a key that is none":    {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "publicKey": "hidden", "publicKeyID": goodID}, malformed, "key publicKey is not one PEM block"},
		"a certificate as key":  {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "publicKey": certificate, "publicKeyID": goodID}, malformed, "move it to the key certificates"},
		"no certificate":        {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "certificates": "\n"}, malformed, "key certificates is empty"},
		"text as certificate":   {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "certificates": certificate + "hidden"}, malformed, "not PEM"},
		"a key among them":      {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "certificates": certificate + public}, malformed, "not a CERTIFICATE"},
		"a broken certificate":  {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "certificates": armour("CERTIFICATE", []byte("hidden"))}, malformed, "cannot be read"},
		"an endless token":      {v1alpha1.PlatformShop, map[string]string{"token": strings.Repeat("a", 257)}, malformed, "key token has more than 256 bytes"},
		"an endless public key": {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "publicKey": endless + public, "publicKeyID": goodID}, malformed, "key publicKey has more than 8192 bytes"},
		"endless certificates":  {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "certificates": certificate + endless}, malformed, "key certificates has more than 65536 bytes"},
		"too many":              {v1alpha1.PlatformPay, map[string]string{"apiV3Key": goodAPIv3, "certificates": many.String()}, malformed, "too many certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problem := read(test.platform, "", test.data)
			if !problem.Is(test.reason) || !strings.Contains(problem.Message, test.message) {
				t.Fatalf("the problem is %+v, want %s with %q", problem, test.reason, test.message)
			}
			if strings.Contains(problem.Message, "hidden") {
				t.Errorf("the message quotes a value: %s", problem.Message)
			}
		})
	}
}

// TestBoundedIsJudgedLikeTheWhole: what the cache keeps of a Secret leads to the same pair, or to the same message.
func TestBoundedIsJudgedLikeTheWhole(t *testing.T) {
	right := map[string]string{
		"token": goodToken, "encodingAESKey": goodAES, "apiV3Key": goodAPIv3,
		"publicKey": newPublicKey(t), "publicKeyID": goodID, "certificates": newCertificate(t, 1),
	}
	for key := range right {
		for name, change := range map[string]func(map[string]string){
			"as it is":                  func(map[string]string) {},
			"without it":                func(data map[string]string) { delete(data, key) },
			"with 1 MiB after it":       func(data map[string]string) { data[key] += strings.Repeat("\n", 1<<20) },
			"with another beside it":    func(data map[string]string) { data["more"] = strings.Repeat("a", 1<<20) },
			"with 1 MiB of certificate": func(data map[string]string) { data[key] = strings.Repeat(right["certificates"], 1000) },
		} {
			for _, platform := range []v1alpha1.Platform{v1alpha1.PlatformShop, v1alpha1.PlatformPay} {
				data, kept, size := maps.Clone(right), map[string]string{}, 0
				change(data)
				for key, value := range Bounded(bytesOf(data)) {
					kept[key] = string(value)
					size += len(value)
				}
				whole, wholeErr := read(platform, "", data)
				bounded, boundedErr := read(platform, "", kept)
				if diff := cmp.Diff(whole, bounded); diff != "" || fmt.Sprint(wholeErr) != fmt.Sprint(boundedErr) {
					t.Errorf("%s, %s %s: %v and %v:\n%s", platform, key, name, wholeErr, boundedErr, diff)
				}
				if size > 80<<10 {
					t.Errorf("%s %s: %d bytes are kept", key, name, size)
				}
			}
		}
	}
}

func bytesOf(data map[string]string) map[string][]byte {
	bytes := map[string][]byte{}
	for key, value := range data {
		bytes[key] = []byte(value)
	}
	return bytes
}

func TestMissingSecretNamesTheKeysOfThePlatform(t *testing.T) {
	for want, endpoint := range map[string]v1alpha1.WeChatEndpointSpec{
		"the key token":                     {Platform: v1alpha1.PlatformMiniProgram, MessageMode: v1alpha1.MessageModePlaintext},
		"the keys token and encodingAESKey": {Platform: v1alpha1.PlatformWeCom},
		"the key apiV3Key, and publicKey with publicKeyID, or certificates, or both": {Platform: v1alpha1.PlatformPay},
	} {
		if got := neededKeys(&v1alpha1.WeChatEndpoint{Spec: endpoint}); got != want {
			t.Errorf("%s needs %q, want %q", endpoint.Platform, got, want)
		}
	}
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newPublicKey(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&newKey(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return armour("PUBLIC KEY", der)
}

func newCertificate(t *testing.T, serial int64) string {
	t.Helper()
	return newCertificateUntil(t, serial, time.Time{})
}

func newCertificateUntil(t *testing.T, serial int64, notAfter time.Time) string {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return armour("CERTIFICATE", der)
}

func armour(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestWhenPaysCertificatesEnd: WeChat Pay signs with the next one before the last one ends, and with its public key where that is there.
func TestWhenPaysCertificatesEnd(t *testing.T) {
	soon, late := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	early, last := newCertificateUntil(t, 1, soon), newCertificateUntil(t, 2, late)
	for name, test := range map[string]struct {
		data map[string]string // nil is no Secret
		want time.Time
	}{
		"no Secret":                     {nil, time.Time{}},
		"no certificate":                {map[string]string{"apiV3Key": goodAPIv3}, time.Time{}},
		"one":                           {map[string]string{"certificates": early}, soon},
		"the last of two counts":        {map[string]string{"certificates": last + early}, late},
		"beside a public key none does": {map[string]string{"certificates": early, "publicKey": "a"}, time.Time{}},
		"what is none is left out":      {map[string]string{"certificates": armour("CERTIFICATE", []byte("a")) + early + "b"}, soon},
		"what is too long is not read":  {map[string]string{"certificates": early + strings.Repeat(" ", 64<<10)}, time.Time{}},
	} {
		var secret *corev1.Secret
		if test.data != nil {
			secret = &corev1.Secret{Data: map[string][]byte{}}
			for key, value := range test.data {
				secret.Data[key] = []byte(value)
			}
		}
		if got := CertificatesEnd(secret); got.IsZero() != test.want.IsZero() || !got.IsZero() && !got.Time.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
