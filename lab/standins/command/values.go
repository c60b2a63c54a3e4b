package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	pb "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"
)

// properties are JSON data; special values are objects that say their kind under signature.
type properties = map[string]any

// The engine's own marks.
const (
	signature  = "4dabf18193072939515e22adb298388d"
	secretMark = "1b47061264138c4ac30d75fd1eb44270"
	asset      = "c44067f5952c0a294b673a41bacd8c17"
	archive    = "0def7320c3a5731c473e5ecbe6d01bc7"
	unknown    = "04da6b54-80e4-46f7-96ec-b56ff0331ba9" // known only after the update; previews carry it
)

// pack is for the engine; properties that are nil are left out.
func pack(values properties) (*structpb.Struct, error) {
	present := maps.Clone(values)
	maps.DeleteFunc(present, func(_ string, value any) bool { return value == nil })
	packed, err := structpb.NewStruct(present)
	if err != nil {
		return nil, fmt.Errorf("a state that cannot be told: %w", err)
	}
	return packed, nil
}

// with is a copy with more in it.
func with(values, more properties) properties {
	both := maps.Clone(values)
	maps.Copy(both, more)
	return both
}

// secret is the value as a secret; what is not known yet stays as it is.
func secret(value any) any {
	if value == any(unknown) || isSecret(value) {
		return value
	}
	return properties{signature: secretMark, "value": value}
}

// isSecret says whether the value itself is a secret; one that merely holds secrets is not.
func isSecret(value any) bool {
	object, ok := value.(properties)
	return ok && object[signature] == secretMark
}

// isFile says whether the value is an asset or an archive.
func isFile(value any) bool {
	object, ok := value.(properties)
	return ok && (object[signature] == asset || object[signature] == archive)
}

// isUnknown says whether the value, or anything in it, is known only after the update.
func isUnknown(value any) bool {
	switch value := value.(type) {
	case properties:
		for _, item := range value {
			if isUnknown(item) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, isUnknown)
	case string:
		return value == unknown
	}
	return false
}

// plain is the value with every secret's wrapper taken off.
func plain(value any) any {
	switch value := value.(type) {
	case properties:
		if isSecret(value) {
			return plain(value["value"])
		}
		return plainly(value)
	case []any:
		items := make([]any, len(value))
		for index, item := range value {
			items[index] = plain(item)
		}
		return items
	}
	return value
}

// plainly is plain for what is no value of its own.
func plainly(values properties) properties {
	bare := make(properties, len(values))
	for key, item := range values {
		bare[key] = plain(item)
	}
	return bare
}

// text is a plain property, or "" where there is none.
func text(values properties, name string) string {
	value, _ := values[name].(string)
	return value
}

// identity is what two equal values have in common: an asset's or archive's hash, else the value.
func identity(value any) any {
	if isFile(value) {
		return value.(properties)["hash"]
	}
	return value
}

// differences calls found with path and kind of each leaf that differs, such as "tags.Name", ADD.
//
// A secret is one leaf, whatever is in it: a path that went on would show what is inside.
func differences(old, new any, path string, found func(string, pb.PropertyDiff_Kind)) {
	oldMap, newMap := members(old), members(new)
	oldList, oldIsList := old.([]any)
	newList, newIsList := new.([]any)
	switch {
	case isSecret(old) || isSecret(new):
		if !reflect.DeepEqual(plain(old), plain(new)) {
			found(path, pb.PropertyDiff_UPDATE)
		}
	case oldMap != nil && newMap != nil:
		for key := range with(oldMap, newMap) {
			at := strings.TrimPrefix(path+"."+key, ".")
			was, inOld := oldMap[key]
			is, inNew := newMap[key]
			member(was, is, inOld, inNew, at, found)
		}
	case oldIsList && newIsList:
		for index := range max(len(oldList), len(newList)) {
			at := fmt.Sprintf("%s[%d]", path, index)
			inOld, inNew := index < len(oldList), index < len(newList)
			var was, is any
			if inOld {
				was = oldList[index]
			}
			if inNew {
				is = newList[index]
			}
			member(was, is, inOld, inNew, at, found)
		}
	case !reflect.DeepEqual(identity(old), identity(new)):
		found(path, pb.PropertyDiff_UPDATE)
	}
}

// members of an object that is no special value; nil for anything else.
func members(value any) properties {
	object, _ := value.(properties)
	if _, special := object[signature]; special {
		return nil
	}
	return object
}

func member(old, new any, inOld, inNew bool, path string, found func(string, pb.PropertyDiff_Kind)) {
	switch {
	case !inOld:
		found(path, pb.PropertyDiff_ADD)
	case !inNew:
		found(path, pb.PropertyDiff_DELETE)
	default:
		differences(old, new, path, found)
	}
}

// root is the top-level property of a path: `tags` of `tags.Name`.
func root(path string) string {
	if end := strings.IndexAny(path, ".["); end >= 0 {
		return path[:end]
	}
	return path
}
