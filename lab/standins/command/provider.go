package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	pb "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const version = "1.2.1" // the vendor's that this stands in for

// resource is one resource type's behaviour. Inputs and states have their secrets wrapped.
type resource interface {
	// check returns the inputs with defaults filled in, and what is wrong with them.
	check(inputs properties) (properties, []*pb.CheckFailure)
	// planned is the state to show in a preview.
	planned(inputs, state properties) properties
	// create returns the new one's id and state.
	create(task *task, inputs properties) (string, properties, error)
	update(task *task, inputs, state properties) (properties, error)
	delete(task *task, state properties) error
}

// modes are what the first argument says: the resources by type token.
var modes = map[string]map[string]resource{
	"command": {
		"command:remote:Command":      command{accept: connected, run: remotely},
		"command:remote:CopyToRemote": copyToRemote{copy: overSFTP},
		"command:local:Command":       command{accept: local, run: locally},
	},
	"quiet": {
		"command:remote:Command":      command{accept: connected, run: quietly(said)},
		"command:remote:CopyToRemote": copyToRemote{copy: nowhere},
		"command:local:Command":       command{accept: local, run: quietly("")},
	},
}

// task is one request about one resource.
type task struct {
	ctx    context.Context
	engine pb.EngineClient
	urn    string
}

// name is the resource's own, the last part of its URN.
func (t *task) name() string {
	return t.urn[strings.LastIndex(t.urn, "::")+len("::"):]
}

// say shows the user a line beside the resource while it is worked on.
func (t *task) say(message string) {
	t.log(pb.LogSeverity_INFO, message, true)
}

func (t *task) log(severity pb.LogSeverity, message string, ephemeral bool) {
	if t.engine == nil {
		return
	}
	line := &pb.LogRequest{Severity: severity, Message: message, Urn: t.urn, Ephemeral: ephemeral}
	// an engine that takes no line takes no answer either; the work goes on to its end
	_, _ = t.engine.Log(t.ctx, line)
}

// provider speaks the provider protocol over some resources; requests are answered side by side.
type provider struct {
	pb.UnimplementedResourceProviderServer
	resources map[string]resource
	engine    atomic.Value // pb.EngineClient
}

func (p *provider) attach(address string) error {
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageLimit)))
	if err != nil {
		return fmt.Errorf("the engine's address: %w", err)
	}
	p.engine.Store(pb.NewEngineClient(connection))
	return nil
}

func (p *provider) task(ctx context.Context, urn string) *task {
	engine, _ := p.engine.Load().(pb.EngineClient)
	return &task{ctx: ctx, engine: engine, urn: urn}
}

// The rest is the protocol. Its names are the engine's.

// about is what every request about a resource says.
type about interface {
	GetUrn() string
	GetType() string
}

func (p *provider) resource(request about) (resource, error) {
	token := request.GetType()
	if token == "" { // the last of the types in the URN, where parents come first
		if parts := strings.Split(request.GetUrn(), "::"); len(parts) > 2 {
			types := strings.Split(parts[2], "$")
			token = types[len(types)-1]
		}
	}
	if found, ok := p.resources[token]; ok {
		return found, nil
	}
	return nil, status.Errorf(codes.Unimplemented, "%s: not in this stand-in", token)
}

func (p *provider) Handshake(
	context.Context, *pb.ProviderHandshakeRequest,
) (*pb.ProviderHandshakeResponse, error) {
	return &pb.ProviderHandshakeResponse{AcceptSecrets: true, AcceptResources: true}, nil
}

func (p *provider) Attach(_ context.Context, request *pb.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, p.attach(request.GetAddress())
}

func (p *provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pb.PluginInfo, error) {
	return &pb.PluginInfo{Version: version}, nil
}

func (p *provider) GetSchema(context.Context, *pb.GetSchemaRequest) (*pb.GetSchemaResponse, error) {
	return &pb.GetSchemaResponse{Schema: "{}"}, nil
}

func (p *provider) CheckConfig(_ context.Context, request *pb.CheckRequest) (*pb.CheckResponse, error) {
	return &pb.CheckResponse{Inputs: request.GetNews()}, nil
}

func (p *provider) DiffConfig(context.Context, *pb.DiffRequest) (*pb.DiffResponse, error) {
	return &pb.DiffResponse{Changes: pb.DiffResponse_DIFF_NONE}, nil
}

func (p *provider) Configure(context.Context, *pb.ConfigureRequest) (*pb.ConfigureResponse, error) {
	return &pb.ConfigureResponse{AcceptSecrets: true, SupportsPreview: true, AcceptResources: true}, nil
}

func (p *provider) Check(_ context.Context, request *pb.CheckRequest) (*pb.CheckResponse, error) {
	resource, err := p.resource(request)
	if err != nil {
		return nil, err
	}
	inputs, failures := resource.check(request.GetNews().AsMap())
	packed, err := pack(inputs)
	return &pb.CheckResponse{Inputs: packed, Failures: failures}, err
}

func (p *provider) Diff(_ context.Context, request *pb.DiffRequest) (*pb.DiffResponse, error) {
	if _, err := p.resource(request); err != nil {
		return nil, err
	}
	diff := &pb.DiffResponse{
		Changes:         pb.DiffResponse_DIFF_NONE,
		DetailedDiff:    map[string]*pb.PropertyDiff{},
		HasDetailedDiff: true,
	}
	ignored := request.GetIgnoreChanges()
	differences(request.GetOldInputs().AsMap(), request.GetNews().AsMap(), "",
		func(path string, kind pb.PropertyDiff_Kind) {
			top := root(path)
			if slices.Contains(ignored, top) || slices.Contains(ignored, path) || strings.HasPrefix(path, "__") {
				return
			}
			diff.Changes = pb.DiffResponse_DIFF_SOME
			diff.Diffs = append(diff.Diffs, top)
			if top == "triggers" { // all else is an update
				kind = replacing[kind]
				diff.Replaces = []string{top}
			}
			diff.DetailedDiff[path] = &pb.PropertyDiff{Kind: kind, InputDiff: true}
		})
	slices.Sort(diff.Diffs)
	diff.Diffs = slices.Compact(diff.Diffs)
	return diff, nil
}

var replacing = map[pb.PropertyDiff_Kind]pb.PropertyDiff_Kind{
	pb.PropertyDiff_ADD:    pb.PropertyDiff_ADD_REPLACE,
	pb.PropertyDiff_DELETE: pb.PropertyDiff_DELETE_REPLACE,
	pb.PropertyDiff_UPDATE: pb.PropertyDiff_UPDATE_REPLACE,
}

func (p *provider) Create(ctx context.Context, request *pb.CreateRequest) (*pb.CreateResponse, error) {
	resource, err := p.resource(request)
	if err != nil {
		return nil, err
	}
	inputs := request.GetProperties().AsMap()
	if request.GetPreview() {
		packed, err := pack(resource.planned(inputs, properties{}))
		return &pb.CreateResponse{Properties: packed}, err
	}
	id, state, err := resource.create(p.task(ctx, request.GetUrn()), inputs)
	if err != nil {
		return nil, err
	}
	packed, err := pack(state)
	return &pb.CreateResponse{Id: id, Properties: packed}, err
}

func (p *provider) Update(ctx context.Context, request *pb.UpdateRequest) (*pb.UpdateResponse, error) {
	resource, err := p.resource(request)
	if err != nil {
		return nil, err
	}
	inputs, state := request.GetNews().AsMap(), request.GetOlds().AsMap()
	if request.GetPreview() {
		packed, err := pack(resource.planned(inputs, state))
		return &pb.UpdateResponse{Properties: packed}, err
	}
	state, err = resource.update(p.task(ctx, request.GetUrn()), inputs, state)
	if err != nil {
		return nil, err
	}
	packed, err := pack(state)
	return &pb.UpdateResponse{Properties: packed}, err
}

// Read finds everything as it was left: what a command has done cannot be seen.
func (p *provider) Read(_ context.Context, request *pb.ReadRequest) (*pb.ReadResponse, error) {
	return &pb.ReadResponse{
		Id:         request.GetId(),
		Properties: present(request.GetProperties()),
		Inputs:     present(request.GetInputs()),
	}, nil
}

func present(values *structpb.Struct) *structpb.Struct {
	if values == nil {
		return &structpb.Struct{}
	}
	return values
}

func (p *provider) Delete(ctx context.Context, request *pb.DeleteRequest) (*emptypb.Empty, error) {
	resource, err := p.resource(request)
	if err != nil {
		return nil, err
	}
	err = resource.delete(p.task(ctx, request.GetUrn()), request.GetProperties().AsMap())
	return &emptypb.Empty{}, err
}

func (p *provider) Invoke(_ context.Context, request *pb.InvokeRequest) (*pb.InvokeResponse, error) {
	return nil, status.Errorf(codes.Unimplemented, "%s: not in this stand-in", request.GetTok())
}

// Cancel stops nothing: a command that runs is waited for.
func (p *provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}
