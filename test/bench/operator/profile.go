// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// profileSeconds is how long the operator is watched: less than a round takes.
const profileSeconds = 5

// saveProfiles keeps where the operator spends its CPU for some seconds, and then what its memory holds, for go tool pprof.
// It does nothing unless a folder for them was named.
func (b *bench) saveProfiles(ctx context.Context, name string) error {
	if b.settings.profiles == "" {
		return nil
	}
	for kind, path := range map[string]string{"cpu": fmt.Sprintf("profile?seconds=%d", profileSeconds), "heap": "heap?gc=1"} {
		if err := b.saveProfile(ctx, path, filepath.Join(b.settings.profiles, name+"."+kind)); err != nil {
			return fmt.Errorf("saving a profile of the operator: %w", err)
		}
	}
	return nil
}

func (b *bench) saveProfile(ctx context.Context, path, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.operator.profiles+"/debug/pprof/"+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, response.Body)
	if err != nil {
		return err
	}
	return out.Close()
}
