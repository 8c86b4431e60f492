// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// archive writes a binary and the license into NAME.tar.gz, or NAME.zip where it is for Windows, and returns the file's SHA-256. The name has
// a place for the version.
func (r release) archive(name, binary string) (string, error) {
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return "", err
	}
	files := []file{{"LICENSE", 0o644, license}, {filepath.Base(binary), 0o755, program}}
	write, suffix := packTar, ".tar.gz"
	if strings.HasSuffix(binary, ".exe") {
		write, suffix = packZip, ".zip"
	}
	content, err := write(files, r.date)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), os.WriteFile(r.file(name+suffix), content, 0o644)
}

// file is one of an archive.
type file struct {
	name    string
	mode    os.FileMode
	content []byte
}

func packTar(files []file, date time.Time) ([]byte, error) {
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out) // without a name and a time
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		if err := addFile(archive, f.name, f.mode, f.content, date); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// addFile adds a file of root's.
func addFile(archive *tar.Writer, name string, mode os.FileMode, content []byte, date time.Time) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode), Size: int64(len(content)), ModTime: date, Format: tar.FormatUSTAR}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

func packZip(files []file, date time.Time) ([]byte, error) {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: date}
		header.SetMode(f.mode)
		writer, err := archive.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := writer.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
