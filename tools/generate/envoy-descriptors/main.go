// Writes the part of Envoy's API that Kodiak uses as a FileDescriptorSet.
//
//	go run . ../../../proto/envoy-1.40.binpb
//
// Starting from the roots below, every top-level message and enum that can be
// reached through field types is kept; everything else, custom options
// (validation rules, annotations) and source information are dropped.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "github.com/cncf/xds/go/xds/type/matcher/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/direct_response/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/dns_filter/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/health_check/event_sinks/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/ssl/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/regex_engines/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/omit_host_metadata/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/health/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// A name ending in ".*" stands for every top-level message and enum of the package.
var roots = []string{
	"envoy.admin.v3.Clusters",
	"envoy.admin.v3.ConfigDump",
	"envoy.admin.v3.ClustersConfigDump",
	"envoy.admin.v3.ListenersConfigDump",
	"envoy.admin.v3.RoutesConfigDump",
	"envoy.admin.v3.SecretsConfigDump",
	"envoy.admin.v3.EndpointsConfigDump",
	"envoy.admin.v3.BootstrapConfigDump",
	"envoy.admin.v3.ServerInfo",
	"envoy.config.bootstrap.v3.Bootstrap",
	"envoy.config.cluster.v3.Cluster",
	"envoy.config.core.v3.*",
	"envoy.config.endpoint.v3.ClusterLoadAssignment",
	"envoy.config.endpoint.v3.LbEndpoint",
	"envoy.config.listener.v3.Listener",
	"envoy.config.rbac.v3.*",
	"envoy.config.route.v3.RouteConfiguration",
	"envoy.extensions.access_loggers.file.v3.*",
	"envoy.extensions.access_loggers.filters.cel.v3.*",
	"envoy.extensions.access_loggers.grpc.v3.*",
	"envoy.extensions.access_loggers.stream.v3.*",
	"envoy.extensions.bootstrap.internal_listener.v3.*",
	"envoy.extensions.filters.http.fault.v3.*",
	"envoy.extensions.filters.http.header_mutation.v3.*",
	"envoy.extensions.filters.http.local_ratelimit.v3.*",
	"envoy.extensions.filters.http.rbac.v3.*",
	"envoy.extensions.filters.http.router.v3.*",
	"envoy.extensions.filters.listener.http_inspector.v3.*",
	"envoy.extensions.filters.listener.original_dst.v3.*",
	"envoy.extensions.filters.listener.tls_inspector.v3.*",
	"envoy.extensions.filters.network.connection_limit.v3.*",
	"envoy.extensions.filters.network.direct_response.v3.*",
	"envoy.extensions.filters.network.http_connection_manager.v3.*",
	"envoy.extensions.filters.network.rbac.v3.*",
	"envoy.extensions.filters.network.tcp_proxy.v3.*",
	"envoy.extensions.filters.udp.dns_filter.v3.*",
	"envoy.extensions.health_check.event_sinks.file.v3.*",
	"envoy.extensions.load_balancing_policies.common.v3.*",
	"envoy.extensions.load_balancing_policies.least_request.v3.*",
	"envoy.extensions.load_balancing_policies.maglev.v3.*",
	"envoy.extensions.load_balancing_policies.random.v3.*",
	"envoy.extensions.load_balancing_policies.ring_hash.v3.*",
	"envoy.extensions.load_balancing_policies.round_robin.v3.*",
	"envoy.extensions.matching.common_inputs.network.v3.*",
	"envoy.extensions.matching.common_inputs.ssl.v3.*",
	"envoy.extensions.regex_engines.v3.*",
	"envoy.extensions.retry.host.omit_host_metadata.v3.*",
	"envoy.extensions.retry.host.previous_hosts.v3.*",
	"envoy.extensions.retry.priority.previous_priorities.v3.*",
	"envoy.extensions.transport_sockets.tls.v3.*",
	"envoy.extensions.upstreams.http.v3.*",
	"envoy.service.accesslog.v3.*",
	"envoy.service.discovery.v3.AggregatedDiscoveryService",
	"envoy.service.discovery.v3.DeltaDiscoveryRequest",
	"envoy.service.discovery.v3.DeltaDiscoveryResponse",
	"envoy.service.discovery.v3.DiscoveryRequest",
	"envoy.service.discovery.v3.DiscoveryResponse",
	"envoy.service.discovery.v3.Resource",
	"envoy.service.health.v3.*",
	"envoy.service.health.v3.HealthDiscoveryService",
	"envoy.type.matcher.v3.*",
	"envoy.type.v3.*",
	"xds.type.matcher.v3.Matcher",
}

var kept = map[protoreflect.FullName]bool{}

// top returns the outermost declaration that contains d.
func top(d protoreflect.Descriptor) protoreflect.Descriptor {
	for {
		if _, isFile := d.Parent().(protoreflect.FileDescriptor); isFile {
			return d
		}
		d = d.Parent()
	}
}

func keep(d protoreflect.Descriptor) {
	d = top(d)
	if kept[d.FullName()] {
		return
	}
	kept[d.FullName()] = true
	switch d := d.(type) {
	case protoreflect.MessageDescriptor:
		keepFields(d)
	case protoreflect.ServiceDescriptor:
		for i := range d.Methods().Len() {
			keep(d.Methods().Get(i).Input())
			keep(d.Methods().Get(i).Output())
		}
	}
}

func keepFields(m protoreflect.MessageDescriptor) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Message() != nil {
			keep(f.Message())
		}
		if f.Enum() != nil {
			keep(f.Enum())
		}
	}
	for i := range m.Messages().Len() {
		keepFields(m.Messages().Get(i))
	}
}

func keepRoot(root string) error {
	pkg, whole := strings.CutSuffix(root, ".*")
	if !whole {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(root))
		if err != nil {
			return fmt.Errorf("%s: %w", root, err)
		}
		keep(d)
		return nil
	}
	found := false
	protoregistry.GlobalFiles.RangeFilesByPackage(protoreflect.FullName(pkg), func(f protoreflect.FileDescriptor) bool {
		found = true
		for i := range f.Messages().Len() {
			keep(f.Messages().Get(i))
		}
		for i := range f.Enums().Len() {
			keep(f.Enums().Get(i))
		}
		return true
	})
	if !found {
		return fmt.Errorf("%s: no such package", root)
	}
	return nil
}

// standardOptions drops every extension (and unknown field) of an options message.
func standardOptions[T proto.Message](options T) {
	m := options.ProtoReflect()
	if !m.IsValid() {
		return
	}
	m.SetUnknown(nil)
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if f.IsExtension() {
			m.Clear(f)
		}
		return true
	})
}

func stripMessage(m *descriptorpb.DescriptorProto) {
	standardOptions(m.Options)
	for _, f := range m.Field {
		standardOptions(f.Options)
	}
	for _, o := range m.OneofDecl {
		o.Options = nil
	}
	for _, e := range m.EnumType {
		stripEnum(e)
	}
	for _, n := range m.NestedType {
		stripMessage(n)
	}
}

func stripEnum(e *descriptorpb.EnumDescriptorProto) {
	standardOptions(e.Options)
	for _, v := range e.Value {
		standardOptions(v.Options)
	}
}

func filter[T interface{ GetName() string }](list []T, pkg string) []T {
	var out []T
	for _, d := range list {
		if kept[protoreflect.FullName(pkg+"."+d.GetName())] {
			out = append(out, d)
		}
	}
	return out
}

// referenced calls visit with the full name of every type used in a message.
func referenced(m *descriptorpb.DescriptorProto, visit func(string)) {
	for _, f := range m.Field {
		if f.GetTypeName() != "" {
			visit(f.GetTypeName()[1:])
		}
	}
	for _, n := range m.NestedType {
		referenced(n, visit)
	}
}

func reduce(f protoreflect.FileDescriptor) (*descriptorpb.FileDescriptorProto, error) {
	full := protodesc.ToFileDescriptorProto(f)
	file := &descriptorpb.FileDescriptorProto{
		Name:        full.Name,
		Package:     full.Package,
		Syntax:      full.Syntax,
		Edition:     full.Edition,
		MessageType: filter(full.MessageType, full.GetPackage()),
		EnumType:    filter(full.EnumType, full.GetPackage()),
		Service:     filter(full.Service, full.GetPackage()),
	}
	used := map[string]bool{}
	var failure error
	visit := func(name string) {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			failure = err
			return
		}
		used[d.ParentFile().Path()] = true
	}
	for _, m := range file.MessageType {
		stripMessage(m)
		referenced(m, visit)
	}
	for _, e := range file.EnumType {
		stripEnum(e)
	}
	for _, s := range file.Service {
		s.Options = nil
		for _, m := range s.Method {
			m.Options = nil
			visit(m.GetInputType()[1:])
			visit(m.GetOutputType()[1:])
		}
	}
	delete(used, f.Path())
	for path := range used {
		file.Dependency = append(file.Dependency, path)
	}
	sort.Strings(file.Dependency)
	return file, failure
}

func run(out string) error {
	for _, root := range roots {
		if err := keepRoot(root); err != nil {
			return err
		}
	}
	files := map[string]protoreflect.FileDescriptor{}
	for name := range kept {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			return err
		}
		files[d.ParentFile().Path()] = d.ParentFile()
	}
	reduced := map[string]*descriptorpb.FileDescriptorProto{}
	var paths []string
	for path, f := range files {
		file, err := reduce(f)
		if err != nil {
			return err
		}
		reduced[path] = file
		paths = append(paths, path)
	}
	sort.Strings(paths)

	// A descriptor set lists every file after the files it imports.
	set := &descriptorpb.FileDescriptorSet{}
	done := map[string]bool{}
	var add func(path string)
	add = func(path string) {
		if done[path] {
			return
		}
		done[path] = true
		for _, dependency := range reduced[path].Dependency {
			add(dependency)
		}
		set.File = append(set.File, reduced[path])
	}
	for _, path := range paths {
		add(path)
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return err
	}
	fmt.Printf("%d roots, %d types, %d files, %d bytes\n", len(roots), len(kept), len(set.File), len(bytes))
	return os.WriteFile(out, bytes, 0o644)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . <output file>")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
