// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// question is one that init asks for a flag that is not given.
type question struct {
	flag    string
	answer  *string
	ask     text.Text
	preset  string // what an empty answer means; empty asks on
	applies bool
	check   *regexp.Regexp
}

var (
	endpointName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`)
	accountID    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	hostName     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	urlPath      = regexp.MustCompile(`^/[A-Za-z0-9._~$/-]{0,255}$`)
	serviceName  = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	servicePort  = regexp.MustCompile(`^[a-z0-9-]{1,15}$`)
	platformName = regexp.MustCompile(`^(OfficialAccount|MiniProgram|Shop|WeCom|OpenPlatform|Pay)$`)
	modeName     = regexp.MustCompile(`^(Plaintext|Compatible|Encrypted)$`)
)

// validateInit refuses a mode where there is none to choose.
func (o options) validateInit() error {
	if o.mode != "" && o.platform != "" && !config.HasModes(o.platform) {
		return text.Errorf("--mode is for OfficialAccount and MiniProgram: leave it out")
	}
	return o.validateStdin()
}

// initEndpoint makes an endpoint and its Secret: files, or objects of the cluster.
func (p Plugin) initEndpoint(ctx context.Context, o options) (int, error) {
	if err := p.ask(&o); err != nil {
		return 0, err
	}
	secret, made, err := p.newSecret(o)
	if err != nil {
		return 0, err
	}
	endpoint := newEndpoint(o)
	r := p.report(p.Stdout)
	if o.apply {
		if err := p.create(ctx, o, r, endpoint, secret); err != nil {
			return 0, err
		}
	} else if err := p.writeManifests(o, r, endpoint, secret); err != nil {
		return 0, err
	}
	named := o.name
	if endpoint.Namespace != "" {
		named += " -n " + endpoint.Namespace
	}
	if made {
		r.line("note", "the token and the key are new and random; kubectl wechat console %s says where to enter them, once the endpoint is ready", named)
	}
	if !o.apply {
		return r.ok("apply them: kubectl apply -f %s -f %s; the file with the Secret does not belong into Git as it is", o.secretFile(), o.endpointFile()), nil
	}
	return r.ok("see what becomes of it: kubectl wechat status %s", named), nil
}

// ask asks for what no flag says, and checks all.
func (p Plugin) ask(o *options) error {
	in := bufio.NewReader(p.Stdin)
	for i := range 8 {
		one := o.questions()[i] // which may depend on the answers before
		if !one.applies {
			continue
		}
		if *one.answer == "" && o.readsStdin() { // which is no answer
			return one.unanswered()
		}
		for *one.answer == "" {
			shown := p.lang.Say(one.ask)
			if one.preset != "" {
				shown += " [" + one.preset + "]"
			}
			fmt.Fprint(p.Stderr, shown+": ")
			line, err := in.ReadString('\n')
			*one.answer = cmp.Or(strings.TrimSpace(line), one.preset)
			if err != nil && (*one.answer == "" || !errors.Is(err, io.EOF)) {
				return one.unanswered()
			}
		}
		if !one.check.MatchString(*one.answer) {
			return text.Errorf("--%s cannot be that: it must match %s", one.flag, one.check)
		}
	}
	return nil
}

func (q question) unanswered() error {
	if q.flag == "name" {
		return text.Errorf("name an endpoint")
	}
	return text.Errorf("nobody answers: pass --%s", q.flag)
}

// questions are in the order in which they are asked.
func (o *options) questions() [8]question {
	platform := v1alpha1.Platform(o.platform)
	return [8]question{
		{"name", &o.name, text.New("the endpoint's name"), "", true, endpointName},
		{"platform", &o.platform, text.New("the platform: %v", platforms), string(v1alpha1.PlatformOfficialAccount), true, platformName},
		{"app-id", &o.appID, text.New("the AppID of the console; for WeCom the CorpID, for Pay the merchant id"), "", true, accountID},
		{"mode", &o.mode, text.New("the message mode of the console: Plaintext (明文), Compatible (兼容) or Encrypted (安全)"), string(v1alpha1.MessageModeEncrypted), config.HasModes(string(platform)), modeName},
		{"host", &o.host, text.New("the host name of the URL, such as wx.example.com"), "", true, hostName},
		{"path", &o.path, text.New("the path of the URL"), "/weixin", true, urlPath},
		{"service", &o.service, text.New("the Service of the app"), "", true, serviceName},
		{"port", &o.port, text.New("its port"), "8080", true, servicePort},
	}
}

func (o options) secretFile() string   { return filepath.Join(o.directory, o.name+"-secret.yaml") }
func (o options) endpointFile() string { return filepath.Join(o.directory, o.name+".yaml") }

// newEndpoint is what the answers ask for.
func newEndpoint(o options) *v1alpha1.WeChatEndpoint {
	endpoint := &v1alpha1.WeChatEndpoint{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kindEndpoint},
		ObjectMeta: metav1.ObjectMeta{Name: o.name, Namespace: *o.cluster.Namespace},
		Spec: v1alpha1.WeChatEndpointSpec{
			Platform: v1alpha1.Platform(o.platform), AppID: o.appID, MessageMode: v1alpha1.MessageMode(o.mode),
			Credentials: v1alpha1.CredentialsReference{SecretName: o.name + "-wechat"},
			URL:         v1alpha1.CallbackURL{Host: o.host, Path: o.path},
			Backend:     v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: o.service, Port: intstr.Parse(o.port)}},
		},
	}
	if o.ingressClass+o.tlsSecret != "" {
		endpoint.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: o.ingressClass, TLSSecretName: o.tlsSecret}
	}
	if o.gateway != "" {
		endpoint.Spec.Gateway = &v1alpha1.GatewayReference{Name: o.gateway}
	}
	return endpoint
}

// newSecret holds the values of files, or new ones; made says that one is new. Those of Pay come from the merchant platform alone.
func (p Plugin) newSecret(o options) (secret *corev1.Secret, made bool, err error) {
	secret = &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: o.name + "-wechat", Namespace: *o.cluster.Namespace, Labels: map[string]string{v1alpha1.LabelCredentials: "true"}},
		StringData: map[string]string{},
	}
	if o.platform == platformPay {
		return p.newPaySecret(o, secret)
	}
	take := func(want value, fresh string) error {
		if want.file == "" {
			secret.StringData[want.key], made = fresh, true
			return nil
		}
		secret.StringData[want.key], err = p.valueOfFile(want)
		return err
	}
	if err := take(value{key: v1alpha1.KeyToken, name: "token", file: o.tokenFile, validate: config.ValidateToken}, alphanumeric(config.MaxTokenSize)); err != nil {
		return nil, false, err
	}
	if config.Encrypted(o.platform, o.mode) {
		err = take(value{key: v1alpha1.KeyEncodingAESKey, name: "EncodingAESKey", file: o.aesKeyFile, validate: config.ValidateEncodingAESKey}, alphanumeric(config.EncodingAESKeySize))
	}
	return secret, made, err
}

func (p Plugin) newPaySecret(o options, secret *corev1.Secret) (*corev1.Secret, bool, error) {
	if o.apiV3KeyFile == "" || o.publicKeyFile == "" || o.publicKeyID == "" {
		return nil, false, text.Errorf("the keys of Pay come from the merchant platform (账户中心, API安全): pass --api-v3-key-file, --public-key-file and --public-key-id")
	}
	key, err := p.valueOfFile(value{name: "APIv3 key", file: o.apiV3KeyFile, validate: config.ValidateAPIv3Key})
	if err != nil {
		return nil, false, err
	}
	public, err := p.readFile(o.publicKeyFile, maxSecretFile)
	if err != nil {
		return nil, false, text.Errorf("reading the public key: %w", err)
	}
	for _, err := range []error{config.ValidatePublicKey(string(public)), config.ValidatePublicKeyID(o.publicKeyID)} {
		if err != nil {
			return nil, false, text.Errorf("WeChat Pay's public key, or its id, %w", err)
		}
	}
	secret.StringData = map[string]string{v1alpha1.KeyAPIv3Key: key, v1alpha1.KeyPublicKey: string(public), v1alpha1.KeyPublicKeyID: o.publicKeyID}
	return secret, false, nil
}

// create makes both objects. What is there already is left alone: its values may be in use.
func (p Plugin) create(ctx context.Context, o options, r report, endpoint *v1alpha1.WeChatEndpoint, secret *corev1.Secret) error {
	cluster, namespace, err := p.connect(o)
	if err != nil {
		return err
	}
	secret.Namespace, endpoint.Namespace = namespace, namespace
	if cluster.Get(ctx, client.ObjectKeyFromObject(endpoint), &v1alpha1.WeChatEndpoint{}) == nil {
		return already(kindEndpoint, endpoint)
	}
	if err := chooseClass(ctx, cluster, r, endpoint); err != nil {
		return err
	}
	for _, one := range []struct {
		object  client.Object
		kind    string
		options []client.CreateOption
	}{
		{endpoint.DeepCopy(), kindEndpoint, []client.CreateOption{client.DryRunAll}}, // before there is a Secret that nobody needs
		{secret, "Secret", nil}, {endpoint, kindEndpoint, nil},
	} {
		object, kind := one.object, one.kind
		switch err := cluster.Create(ctx, object, one.options...); {
		case apierrors.IsAlreadyExists(err):
			return already(kind, object)
		case apierrors.IsInvalid(err):
			return text.Errorf("the cluster does not take the %s: %w", kind, err)
		case err != nil:
			return text.Errorf("making %s %s/%s: %w", kind, namespace, object.GetName(), err)
		}
		if one.options == nil {
			r.line("made", "%s %s/%s", kind, namespace, object.GetName())
		}
	}
	return nil
}

// chooseClass names the IngressClass, where no flag does and the cluster has one alone that is not its default. Of several, the caller chooses.
// Where there is none, or the caller may not list them, the operator says what is missing.
func chooseClass(ctx context.Context, cluster client.Reader, r report, endpoint *v1alpha1.WeChatEndpoint) error {
	var ingress v1alpha1.IngressExposure
	if asked := endpoint.Spec.URL.Ingress; asked != nil {
		ingress = *asked
	}
	var classes networkingv1.IngressClassList
	if ingress.ClassName != "" || cluster.List(ctx, &classes) != nil {
		return nil
	}
	var names []string
	for _, class := range classes.Items {
		if class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			return nil
		}
		names = append(names, class.Name)
	}
	switch len(names) {
	case 0:
	case 1:
		r.line("note", "the cluster has no default IngressClass, and this one alone: %s", names[0])
		ingress.ClassName = names[0]
		endpoint.Spec.URL.Ingress = &ingress
	default:
		return text.Errorf("the cluster has no default IngressClass: pass --ingress-class, one of %s", strings.Join(names, ", "))
	}
	return nil
}

func already(kind string, object client.Object) error {
	return text.Errorf("there is a %s %s/%s already, which is left as it is: choose another name, or delete it first", kind, object.GetNamespace(), object.GetName())
}

// writeManifests writes the files. Nobody else can read the Secret's.
func (p Plugin) writeManifests(o options, r report, endpoint *v1alpha1.WeChatEndpoint, secret *corev1.Secret) error {
	for _, one := range []struct {
		path   string
		mode   fs.FileMode
		object any
	}{{o.secretFile(), 0o600, secret}, {o.endpointFile(), 0o644, endpoint}} {
		data, err := manifest(one.object)
		if err == nil {
			err = writeNew(one.path, one.mode, data)
		}
		if err != nil {
			return text.Errorf("writing %s: %w", one.path, err)
		}
		r.line("wrote", "%s", one.path)
	}
	return nil
}

// manifest is an object in YAML, without what only the cluster writes.
func manifest(object any) ([]byte, error) {
	data, err := yaml.Marshal(object)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := yaml.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		for _, name := range []string{"creationTimestamp", "managedFields", "uid", "resourceVersion"} {
			delete(metadata, name)
		}
	}
	return yaml.Marshal(fields)
}

// writeNew writes a file that was not there.
func writeNew(path string, mode fs.FileMode, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return text.Errorf("there is such a file already, which is left as it is")
	}
	if err != nil {
		return withoutPath(err)
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}
