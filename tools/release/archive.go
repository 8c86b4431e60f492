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
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// archive writes a binary and the license into a .tar.gz, or a .zip where it is for Windows, and returns the file's name and SHA-256.
func (r release) archive(p program, target platform, binary string) (name, sum string, err error) {
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return "", "", err
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return "", "", err
	}
	files := []file{{"LICENSE", 0o644, license}, {filepath.Base(binary), 0o755, program}}
	write, suffix := packTar, ".tar.gz"
	if target.os == "windows" {
		write, suffix = packZip, ".zip"
	}
	content, err := write(files, r.date)
	if err != nil {
		return "", "", err
	}
	digest := sha256.Sum256(content)
	name = r.named(p, target) + suffix
	return name, hex.EncodeToString(digest[:]), os.WriteFile(filepath.Join(r.out, name), content, 0o644)
}

// named is how files of a program for a platform begin.
func (r release) named(p program, target platform) string {
	return fmt.Sprintf("%s-%s-%s-%s", p.name, r.version, target.os, target.arch)
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
