package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pkg/sftp"
	pb "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// copyToRemote is a file, a text or a folder for a host.
//
// Copied when made, and again when its content or target changed; not when the host did. No owner and
// no mode are set, nothing is ever removed.
type copyToRemote struct {
	copy func(task *task, inputs properties) error // inputs are plain
}

func (c copyToRemote) check(inputs properties) (properties, []*pb.CheckFailure) {
	var failures []*pb.CheckFailure
	if source := plain(inputs["source"]); !isUnknown(source) && !isFile(source) {
		failures = append(failures, &pb.CheckFailure{
			Property: "asset", Reason: "either asset or archive must be set",
		})
	}
	if inputs["remotePath"] == nil {
		failures = append(failures, missing("remotePath"))
	}
	inputs, more := connected(inputs)
	return inputs, append(failures, more...)
}

func (c copyToRemote) planned(inputs, state properties) properties {
	return with(state, inputs)
}

func (c copyToRemote) create(task *task, inputs properties) (string, properties, error) {
	return newID(), inputs, c.copy(task, plainly(inputs))
}

func (c copyToRemote) update(task *task, inputs, state properties) (properties, error) {
	is, was := plainly(inputs), plainly(state)
	same := reflect.DeepEqual(identity(is["source"]), identity(was["source"])) &&
		is["remotePath"] == was["remotePath"]
	if same {
		return inputs, nil
	}
	return inputs, c.copy(task, is)
}

func (c copyToRemote) delete(*task, properties) error {
	return nil
}

// overSFTP copies to the host.
func overSFTP(task *task, inputs properties) error {
	client, err := connect(task, inputs)
	if err != nil {
		return err
	}
	defer client.Close()
	files, err := sftp.NewClient(client.Client, sftp.UseConcurrentWrites(true))
	if err != nil {
		return fmt.Errorf("sftp: %w", err)
	}
	defer files.Close()
	return host{files}.put(inputs["source"], text(inputs, "remotePath"))
}

// host is where files go.
type host struct{ *sftp.Client }

// put goes by what the source is and whether the target is a folder, as `scp -r` would.
func (h host) put(source any, target string) error {
	file, _ := source.(properties)
	if content, ok := file["text"].(string); ok {
		if h.isFolder(target) {
			return fmt.Errorf("remote path %s is a directory; when using a text asset, "+
				"remotePath must be a file path", target)
		}
		return h.write(strings.NewReader(content), target)
	}
	if assets, ok := file["assets"].(properties); ok {
		return h.putAssets(assets, target)
	}
	if from, ok := file["path"].(string); ok {
		return h.putPath(from, target)
	}
	return status.Error(codes.Unimplemented, "an asset from a URI: not in this stand-in")
}

func (h host) putAssets(assets properties, target string) error {
	if err := h.makeFolder(target); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(assets)) {
		if err := h.put(assets[name], path.Join(target, name)); err != nil {
			return err
		}
	}
	return nil
}

func (h host) putPath(from, target string) error {
	about, err := os.Stat(from)
	if err != nil {
		return err
	}
	within := h.isFolder(target)
	if about.IsDir() {
		within = !strings.HasSuffix(from, "/")
	}
	if within {
		target = path.Join(target, filepath.Base(from))
	}
	return h.putTree(from, target)
}

// putTree copies a file, or a folder with all that is in it, to exactly there.
func (h host) putTree(from, target string) error {
	about, err := os.Stat(from) // not the entry's own: a link is what it leads to
	if err != nil {
		return err
	}
	if !about.IsDir() {
		file, err := os.Open(from)
		if err != nil {
			return err
		}
		defer file.Close()
		return h.write(file, target)
	}
	if err := h.makeFolder(target); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		err := h.putTree(filepath.Join(from, entry.Name()), path.Join(target, entry.Name()))
		if err != nil {
			return err
		}
	}
	return nil
}

func (h host) isFolder(target string) bool {
	about, err := h.Stat(target)
	return err == nil && about.IsDir()
}

func (h host) makeFolder(target string) error {
	if err := h.MkdirAll(target); err != nil {
		return fmt.Errorf("failed to create remote directory %s: %w", target, err)
	}
	return nil
}

// write makes the file, and the folders that it is in.
func (h host) write(content io.Reader, target string) (err error) {
	if err := h.makeFolder(path.Dir(target)); err != nil {
		return err
	}
	file, err := h.Create(target)
	if err != nil {
		return fmt.Errorf("failed to create remote file %s: %w", target, err)
	}
	defer func() {
		if closed := file.Close(); err == nil && closed != nil {
			err = fmt.Errorf("failed to write remote file %s: %w", target, closed)
		}
	}()
	if _, err := file.ReadFrom(content); err != nil {
		return fmt.Errorf("failed to write remote file %s: %w", target, err)
	}
	return nil
}
