// The peer in Go: the gateway as a good engineer would build it on grpc-go and net/http.
//
// It serves Execute and Batch of batchwire.v1 in front of one upstream, with goroutines, keep-alive connections, pooled
// buffers, dependsOn, bounds and deadlines. It has no atomicity groups, conditions, references, request order or
// document dialects, and says so to a call that asks for them. It must never listen off loopback, nor answer a call
// that it did not make.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"google.golang.org/grpc"

	pb "github.com/batchwire/batchwire/bench/peers/go_gateway/gen/batchwirev1"
)

// The live heap is a few MiB, so the collector's default pace would have it run all the time.
const collectorPercent = 400

// Handlers that keep their goroutines, and so their grown stacks; when all are busy a stream gets a new one.
const streamWorkers = 64

// Windows as large as this are not probed for: the BDP estimate would cost a ping every round trip.
const window = 1 << 20

func main() {
	upstream := flag.String("upstream", "", "URL of the upstream, with the base path of all calls")
	connections := flag.Int("connections", 128, "most connections to the upstream")
	inFlight := flag.Int("in-flight", 64, "most calls of one batch that run at once")
	flag.Parse()
	if err := run(*upstream, *connections, *inFlight); err != nil {
		fmt.Fprintln(os.Stderr, "go_gateway:", err)
		os.Exit(1)
	}
}

func run(upstream string, connections, inFlight int) error {
	base, err := url.Parse(upstream)
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return fmt.Errorf("-upstream must be an http URL (was %q)", upstream)
	}
	if connections < 1 || inFlight < 1 {
		return fmt.Errorf("-connections and -in-flight must be at least 1")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	pace := os.Getenv("GOGC")
	if pace == "" {
		debug.SetGCPercent(collectorPercent)
		pace = fmt.Sprint(collectorPercent)
	}
	server := grpc.NewServer(
		grpc.InitialWindowSize(window),
		grpc.InitialConnWindowSize(window),
		grpc.SharedWriteBuffer(true),
		grpc.NumStreamWorkers(streamWorkers),
	)
	pb.RegisterBatchServiceServer(server, &gateway{caller: newCaller(base, connections), inFlight: inFlight})
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ended
		server.Stop()
	}()
	// The same line as batchwire's, so that the benchmark learns the address from either in one way.
	line, err := json.Marshal(map[string]any{
		"event": "listening", "front": "grpc", "address": listener.Addr().String(),
		"about": fmt.Sprintf("%s, GOMAXPROCS %d, GOGC %s", runtime.Version(), runtime.GOMAXPROCS(0), pace),
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, string(line))
	return server.Serve(listener)
}
