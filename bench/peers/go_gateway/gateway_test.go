// The gateway against an upstream of the test, over a loopback connection, as a client sees it.

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/batchwire/batchwire/bench/peers/go_gateway/gen/batchwirev1"
)

func upstream(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Latin", "caf\xe9")
	w.Header().Set("Keep-Alive", "timeout=5")
	switch r.URL.Path {
	case "/fail":
		w.WriteHeader(http.StatusInternalServerError)
	case "/slow":
		time.Sleep(300 * time.Millisecond)
	case "/break":
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%s %s %s|%s|%s", r.Method, r.URL, body, r.Header["X-A"], r.Header.Get("X-Forwarded-For"))
}

func start(t *testing.T) pb.BatchServiceClient {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(upstream))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gateways := grpc.NewServer()
	pb.RegisterBatchServiceServer(gateways, &gateway{caller: newCaller(base, 8), inFlight: 4})
	go gateways.Serve(listener)
	t.Cleanup(gateways.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return pb.NewBatchServiceClient(connection)
}

func execute(t *testing.T, client pb.BatchServiceClient, request *pb.ExecuteRequest) map[string]*pb.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	response, err := client.Execute(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if response.Summary.Calls != uint64(len(request.Calls)) || len(response.Results) != len(request.Calls) {
		t.Fatalf("%d results, %v, for %d calls", len(response.Results), response.Summary, len(request.Calls))
	}
	found := map[string]*pb.Result{}
	for _, result := range response.Results {
		found[result.Id] = result
	}
	return found
}

func get(id, url string, dependsOn ...string) *pb.Call {
	return &pb.Call{Id: id, Method: "get", Url: url, DependsOn: dependsOn}
}

func TestHeadersAndBodiesPassBothWays(t *testing.T) {
	call := &pb.Call{Id: "1", Method: "POST", Url: "things?x=1", Body: []byte("hello"), Headers: []*pb.Header{
		{Name: "x-a", Value: "1"}, {Name: "X-A", Value: "2"}, {Name: "X-Forwarded-For", Value: "1.2.3.4"},
	}}
	result := execute(t, start(t), &pb.ExecuteRequest{Calls: []*pb.Call{call}})["1"]
	if result.Status != 200 || string(result.Body) != "POST /things?x=1 hello|[1 2]|" {
		t.Fatalf("%d %q", result.Status, result.Body)
	}
	headers := map[string]string{}
	for _, header := range result.Headers {
		headers[header.Name] = header.Value
	}
	if headers["X-Latin"] != "café" || headers["Keep-Alive"] != "" || headers["Content-Type"] == "" {
		t.Fatalf("headers %v", headers)
	}
}

func TestEveryCallGetsItsStatus(t *testing.T) {
	late := get("late", "slow")
	late.Timeout = durationpb.New(50 * time.Millisecond)
	calls := []*pb.Call{
		get("good", "x"), get("fail", "/fail"), get("after-fail", "x", "fail"), get("after-good", "x", "good"),
		get("after-skipped", "x", "after-fail"), get("forward", "x", "later"), get("later", "x"), late,
		get("break", "break"), get("up", "../x"), get("up-encoded", "a/%2e%2e/x"), get("other", "//other/x"),
		get("absolute", "http://other/x"), get("reference", "$good/x"),
		{Id: "method", Method: "TRACE", Url: "x"}, {Id: "body", Method: "GET", Url: "x", Body: []byte("x")},
		{Id: "header", Method: "GET", Url: "x", Headers: []*pb.Header{{Name: "A", Value: "b\r\nC: d"}}},
	}
	expected := map[string]uint32{
		"good": 200, "fail": 500, "after-fail": 424, "after-good": 200, "after-skipped": 424, "forward": 424,
		"later": 200, "late": 504, "break": 502, "up": 400, "up-encoded": 400, "other": 400, "absolute": 400,
		"reference": 501, "method": 400, "body": 400, "header": 400,
	}
	for id, result := range execute(t, start(t), &pb.ExecuteRequest{Calls: calls}) {
		if result.Status != expected[id] {
			t.Errorf("%s: %d, not %d: %s", id, result.Status, expected[id], result.Body)
		}
	}
}

func TestStopsAfterFailureWhenAsked(t *testing.T) {
	on := false
	request := &pb.ExecuteRequest{Options: &pb.BatchOptions{ContinueOnError: &on}}
	request.Calls = []*pb.Call{
		get("slow", "slow"), get("good", "x"), get("fail", "fail", "good"), get("never", "x", "slow"),
	}
	found := execute(t, start(t), request)
	if found["slow"].Status != 200 || found["never"].Status != 424 {
		t.Fatalf("%v", found)
	}
}

func TestStreamOfManyCalls(t *testing.T) {
	const messages, each = 60, 50
	stream, err := start(t).Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range messages {
			request := &pb.BatchRequest{}
			for j := range each {
				request.Calls = append(request.Calls, get(fmt.Sprintf("%d-%d", i, j), "x"))
			}
			if stream.Send(request) != nil {
				return
			}
		}
		stream.CloseSend()
	}()
	seen := map[string]bool{}
	var summary *pb.BatchSummary
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		summary = response.Summary
		for _, result := range response.Results {
			if seen[result.Id] || result.Status != 200 || string(result.Body) != "GET /x |[]|" {
				t.Fatalf("%v", result)
			}
			seen[result.Id] = true
		}
	}
	if len(seen) != messages*each || summary.GetSucceeded() != messages*each {
		t.Fatalf("%d results, %v", len(seen), summary)
	}
}

func TestLoneResultIsSentWhileTheStreamIsOpen(t *testing.T) {
	stream, err := start(t).Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := stream.Send(&pb.BatchRequest{Calls: []*pb.Call{get(fmt.Sprint(i), "x")}}); err != nil {
			t.Fatal(err)
		}
		response, err := stream.Recv()
		if err != nil || len(response.Results) != 1 || response.Results[0].Id != fmt.Sprint(i) || response.Summary != nil {
			t.Fatalf("%v %v", response, err)
		}
	}
}

func TestBrokenEnvelopeEndsTheBatch(t *testing.T) {
	client := start(t)
	for _, calls := range [][]*pb.Call{{get("a", "x"), get("a", "x")}, {get("", "x")}, {get("a b", "x")}} {
		if _, err := client.Execute(t.Context(), &pb.ExecuteRequest{Calls: calls}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("Execute: %v", err)
		}
		stream, err := client.Batch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&pb.BatchRequest{Calls: calls}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("Batch: %v", err)
		}
	}
}
