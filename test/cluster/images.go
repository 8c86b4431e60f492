package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// imageOf is the name of the image made of a part's binary. The host of the name does not exist: it is never pulled.
func imageOf(p part) string { return "cluster.invalid/" + p.name + ":" + p.key() }

// importBinary gives containerd an image made of the part's one binary, unless it has it.
func importBinary(ctx context.Context, p part, log io.Writer) error {
	name := imageOf(p)
	if labels, _ := imageLabels(ctx, name); labels != "" {
		return nil
	}
	reader, writer := io.Pipe()
	defer reader.Close() // ends the writing when ctr ends early
	go func() { writer.CloseWithError(writeImage(writer, name, p.path(p.name))) }()
	return ctr(ctx, reader, log, "images", "import", "-")
}

// writeImage writes a container image in docker's archive format: one layer that holds one static binary at the root.
func writeImage(to io.Writer, name, binary string) error {
	layer, err := layerOf(binary)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(layer)
	config, err := imageConfig(binary, hex.EncodeToString(digest[:]))
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	archive := tar.NewWriter(to)
	for _, file := range []struct {
		name    string
		content []byte
	}{{"config.json", config}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := addFile(archive, file.name, 0o644, file.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

func imageConfig(binary, layerDigest string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"os":           "linux",
		"architecture": runtime.GOARCH,
		"config":       map[string]any{"Entrypoint": []string{pathInImage(binary)}, "User": "65532:65532"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + layerDigest}},
	})
}

func layerOf(binary string) ([]byte, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	if err := addFile(archive, pathInImage(binary)[1:], 0o555, content); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}

func pathInImage(binary string) string { return binary[strings.LastIndexByte(binary, '/'):] }

func addFile(archive *tar.Writer, name string, mode int64, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

// archiveLabel marks an image in containerd with the digest of the archive it came from, so that a second load of the
// same one has nothing to do.
const archiveLabel = "wechatendpoint.archive"

// load gives containerd the images of an archive that docker save, crane or tools/release wrote, a release's bundle among them.
func load(ctx context.Context, archive string, out io.Writer) error {
	names, digest, err := readArchive(archive)
	if err != nil {
		return fmt.Errorf("read %s: %w", archive, err)
	}
	if allLoaded(ctx, names, digest) {
		fmt.Fprintf(out, "%s is there already\n", strings.Join(names, ", "))
		return nil
	}
	if err := ctr(ctx, nil, io.Discard, "images", "import", archive); err != nil {
		return err
	}
	for _, name := range names {
		if err := ctr(ctx, nil, io.Discard, "images", "label", name, archiveLabel+"="+digest); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%s loaded\n", strings.Join(names, ", "))
	return nil
}

// readArchive returns the names of an archive's images as containerd spells them, and the digest of the whole file.
func readArchive(path string) (names []string, digest string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	hash := sha256.New()
	both := io.TeeReader(file, hash)
	archive := tar.NewReader(both)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, "", err
		}
		read := map[string]func(io.Reader) ([]string, error){"manifest.json": archiveNames, "index.json": layoutNames}[header.Name]
		if read == nil {
			continue
		}
		found, err := read(archive)
		if err != nil {
			return nil, "", err
		}
		names = append(names, found...)
	}
	if _, err := io.Copy(io.Discard, both); err != nil { // the padding at the end
		return nil, "", err
	}
	if len(names) == 0 {
		return nil, "", fmt.Errorf("no manifest.json and no index.json with an image's name in it")
	}
	slices.Sort(names) // docker save writes both files
	return slices.Compact(names), hex.EncodeToString(hash.Sum(nil))[:24], nil
}

func archiveNames(manifest io.Reader) ([]string, error) {
	var images []struct{ RepoTags []string }
	if err := json.NewDecoder(manifest).Decode(&images); err != nil {
		return nil, err
	}
	var names []string
	for _, image := range images {
		for _, tag := range image.RepoTags {
			names = append(names, fullName(tag))
		}
	}
	return names, nil
}

// layoutNames are those in the index of an OCI layout. Names by a digest are of images that have a name by a tag too.
func layoutNames(index io.Reader) ([]string, error) {
	var layout struct {
		Manifests []struct{ Annotations map[string]string }
	}
	if err := json.NewDecoder(index).Decode(&layout); err != nil {
		return nil, err
	}
	var names []string
	for _, manifest := range layout.Manifests {
		if name := manifest.Annotations["io.containerd.image.name"]; name != "" && !strings.Contains(name, "@") {
			names = append(names, name)
		}
	}
	return names, nil
}

// fullName spells out what Docker leaves away: the registry docker.io and its folder library.
func fullName(tag string) string {
	first, _, found := strings.Cut(tag, "/")
	switch {
	case !found:
		return "docker.io/library/" + tag
	case first != "localhost" && !strings.ContainsAny(first, ".:"):
		return "docker.io/" + tag
	default:
		return tag
	}
}

func allLoaded(ctx context.Context, names []string, digest string) bool {
	for _, name := range names {
		labels, err := imageLabels(ctx, name)
		if err != nil || !strings.Contains(labels, archiveLabel+"="+digest) {
			return false
		}
	}
	return true
}

// imageLabels is the line that containerd lists an image with, or nothing when it has none of that name.
func imageLabels(ctx context.Context, name string) (string, error) {
	var out strings.Builder
	if err := ctr(ctx, nil, &out, "images", "list", "name=="+name); err != nil {
		return "", err
	}
	_, line, _ := strings.Cut(out.String(), "\n") // the first one is the heading
	return line, nil
}

// ctr runs containerd's client on the kubelet's images. Its warnings are no part of its output.
func ctr(ctx context.Context, stdin io.Reader, out io.Writer, arguments ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	arguments = append([]string{"--address", containerdSock, "--namespace", "k8s.io"}, arguments...)
	command := exec.CommandContext(ctx, containerd.path("ctr"), arguments...)
	var messages bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = stdin, out, &messages
	if err := command.Run(); err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(arguments[4:], " "), err, lastLines(messages.String(), 3))
	}
	return nil
}
