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
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
)

// profileSeconds is how long the operator is watched: less than a round takes. With gateways, it is longer: all takes longer there.
const (
	profileSeconds = 5
	profileLonger  = 20
)

// saveProfiles keeps where the operator and the API server spend their CPU for some seconds, and then what the operator's
// memory holds, for go tool pprof.
// It does nothing unless a folder for them was named.
func (b *bench) saveProfiles(ctx context.Context, name string, seconds int) error {
	if b.settings.profiles == "" {
		return nil
	}
	privileged, err := rest.HTTPClientFor(b.config)
	if err != nil {
		return err
	}
	cpu := fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds)
	operator := "http://" + b.operator.profiles
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return saveProfile(ctx, privileged, strings.TrimSuffix(b.config.Host, "/")+cpu, filepath.Join(b.settings.profiles, name+".apiserver.cpu"))
	})
	group.Go(func() error {
		err := saveProfile(ctx, http.DefaultClient, operator+cpu, filepath.Join(b.settings.profiles, name+".cpu"))
		if err != nil {
			return err
		}
		return saveProfile(ctx, http.DefaultClient, operator+"/debug/pprof/heap?gc=1", filepath.Join(b.settings.profiles, name+".heap"))
	})
	return group.Wait()
}

func saveProfile(ctx context.Context, client *http.Client, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
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
