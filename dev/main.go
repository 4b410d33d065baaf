// Temporal-dev is the Temporal server with its Web UI in one process, for the demo and the tests of Monitor. It keeps its
// state in memory unless a file is named, and is no server for production.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

type options struct {
	ip           string
	port, uiPort int
	file         string
	namespace    string
	readyFile    string
	attributes   map[string]enumspb.IndexedValueType
	logLevel     string
}

// endpoints is what the ready file holds.
type endpoints struct {
	Address string `json:"address"`
	UI      string `json:"ui,omitempty"`
}

func main() {
	o := options{attributes: map[string]enumspb.IndexedValueType{}}
	flag.StringVar(&o.ip, "ip", "127.0.0.1", "address to listen on")
	flag.IntVar(&o.port, "port", 0, "port of the Temporal frontend; 0 takes a free one")
	flag.IntVar(&o.uiPort, "ui-port", 0, "port of the Web UI; 0 takes a free one, -1 runs none")
	flag.StringVar(&o.file, "db-filename", "", "SQLite file to keep the state in; empty keeps it in memory")
	flag.StringVar(&o.namespace, "namespace", "default", "namespace to create")
	flag.StringVar(&o.readyFile, "ready-file", "", "write the addresses there as JSON when the server answers")
	flag.StringVar(&o.logLevel, "log-level", "error", "debug, info, warn or error")
	flag.Func("search-attribute", "search attribute to create, as Site=Keyword; may be repeated", func(s string) error {
		name, kind, ok := strings.Cut(s, "=")
		value, err := enumspb.IndexedValueTypeFromString(kind)
		if !ok || name == "" || err != nil {
			return fmt.Errorf("%q does not look like Site=Keyword", s)
		}
		o.attributes[name] = value
		return nil
	})
	withStdin := flag.Bool("exit-with-stdin", false, "quit when standard input ends, as when the parent dies")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *withStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "temporal-dev:", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, o options) error {
	ports, err := freePorts(o.ip, 9)
	if err != nil {
		return err
	}
	if o.port != 0 {
		ports[0] = o.port
	}
	if o.uiPort == 0 {
		o.uiPort = ports[8]
	}
	cfg, err := serverConfig(o, ports)
	if err != nil {
		return err
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for i, name := range services {
		hosts[name] = static.SingleLocalHost(net.JoinHostPort(o.ip, strconv.Itoa(ports[i*2])))
	}
	logger := log.NewZapLogger(log.BuildZapLogger(log.Config{Stdout: false, Level: o.logLevel}))
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
		temporal.WithDynamicConfigClient(dynamicconfig.StaticClient{
			dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
			// Half of a server's usual limit, which does a lab no harm: a test waits less until a workflow continues as new.
			dynamicconfig.HistoryCountSuggestContinueAsNew.Key(): 2048,
		}),
	)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	e := endpoints{Address: cfg.PublicClient.HostPort}
	if err := waitServing(ctx, e.Address); err != nil {
		return err
	}
	if o.uiPort > 0 {
		ui := uiserver.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
			TemporalGRPCAddress: e.Address, Host: o.ip, Port: o.uiPort, EnableUI: true, DefaultNamespace: o.namespace,
			HideLogs: true, DisableNewsFetch: true,
		}))
		failed := make(chan error, 1)
		go func() { failed <- ui.Start() }()
		defer ui.Stop()
		select {
		case err := <-failed:
			return fmt.Errorf("web UI: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
		e.UI = "http://" + net.JoinHostPort(o.ip, strconv.Itoa(o.uiPort))
	}
	if o.readyFile != "" {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		// Written aside and moved, so that who waits for the file never reads half of it.
		if err := os.WriteFile(o.readyFile+".new", text, 0o644); err != nil {
			return err
		}
		if err := os.Rename(o.readyFile+".new", o.readyFile); err != nil {
			return err
		}
	}
	fmt.Printf("temporal %s ui %s\n", e.Address, e.UI)
	<-ctx.Done()
	return nil
}

// retention is how long a history stays when its workflow has ended.
const retention = 7 * 24 * time.Hour

var services = []primitives.ServiceName{primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService}

func serverConfig(o options, ports []int) (*config.Config, error) {
	store := config.SQL{PluginName: sqlite.PluginName, ConnectAttributes: map[string]string{}, DatabaseName: "monitor"}
	if o.file == "" {
		store.ConnectAttributes["mode"], store.ConnectAttributes["cache"] = "memory", "shared"
	} else {
		path, err := filepath.Abs(o.file)
		if err != nil {
			return nil, err
		}
		store.DatabaseName = path
		store.ConnectAttributes["mode"] = "rwc"
		if _, err := os.Stat(path); os.IsNotExist(err) {
			if err := sqliteschema.SetupSchema(&store); err != nil {
				return nil, fmt.Errorf("set up %s: %w", path, err)
			}
		}
	}
	const name = "active"
	namespace, err := sqliteschema.NewNamespaceConfig(name, o.namespace, false, o.attributes)
	if err != nil {
		return nil, err
	}
	namespace.Detail.Config.Retention = durationpb.New(retention)
	if err := sqliteschema.CreateNamespaces(&store, namespace); err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", o.namespace, err)
	}
	frontend := net.JoinHostPort(o.ip, strconv.Itoa(ports[0]))
	cfg := &config.Config{
		Global: config.Global{Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: o.ip}},
		Persistence: config.Persistence{
			DefaultStore: "sqlite", VisibilityStore: "sqlite", NumHistoryShards: 1,
			DataStores: map[string]config.DataStore{"sqlite": {SQL: &store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: name, CurrentClusterName: name,
			ClusterInformation: map[string]cluster.ClusterInformation{name: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend}},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            map[string]config.Service{},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: frontend},
	}
	for i, s := range services {
		cfg.Services[string(s)] = config.Service{RPC: config.RPC{GRPCPort: ports[i*2], MembershipPort: ports[i*2+1], BindOnIP: o.ip}}
	}
	return cfg, nil
}

// freePorts finds ports that nobody holds. They lie below those that systems give to outgoing connections and to whoever
// asks for any (from 32768 on Linux, 49152 elsewhere): what is free now is still free when the server listens.
func freePorts(ip string, n int) (ports []int, err error) {
	for tries := 0; len(ports) < n; tries++ {
		port := 10_000 + rand.IntN(22_000)
		l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
		if err != nil {
			if tries > 100 {
				return nil, err
			}
			continue
		}
		defer l.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

func waitServing(ctx context.Context, address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: "temporal.api.workflowservice.v1.WorkflowService"})
		if err == nil && answer.Status == healthpb.HealthCheckResponse_SERVING {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the frontend at %s does not answer: %w", address, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
