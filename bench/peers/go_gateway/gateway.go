// The two RPCs: moves messages between gRPC and a batch.

package main

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/batchwire/batchwire/bench/peers/go_gateway/gen/batchwirev1"
)

// The answer of Execute is one message; a larger one would be refused by the client.
const maxExecuteBytes = 64 << 20

type batchStream = grpc.BidiStreamingServer[pb.BatchRequest, pb.BatchResponse]

// A gateway is BatchService with Execute and Batch.
type gateway struct {
	pb.UnimplementedBatchServiceServer
	caller   *caller
	inFlight int
}

func refuseOptions(options *pb.BatchOptions) error {
	if options.GetResultOrder() == pb.ResultOrder_RESULT_ORDER_REQUEST {
		return status.Error(codes.Unimplemented, "results come as they finish only")
	}
	return nil
}

// Execute runs a batch that fits one message each way.
func (g *gateway) Execute(ctx context.Context, request *pb.ExecuteRequest) (*pb.ExecuteResponse, error) {
	if err := refuseOptions(request.Options); err != nil {
		return nil, err
	}
	b := newBatch(ctx, g.caller, g.inFlight, request.Options)
	defer b.close()
	if err := b.admit(request.Calls); err != nil {
		return nil, err
	}
	b.end(nil)
	response := &pb.ExecuteResponse{Results: make([]*pb.Result, 0, len(request.Calls))}
	size := 0
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		results, last := b.take(nil)
		for _, a := range results {
			// Not released: the message is encoded after this function has returned.
			response.Results = append(response.Results, &a.result)
			size += len(a.result.Body)
		}
		if size > maxExecuteBytes {
			return nil, status.Error(codes.ResourceExhausted, "the answer does not fit one message; use Batch")
		}
		if last {
			response.Summary = b.summarize()
			return response, nil
		}
	}
}

// Batch runs a batch of any length and sends results as they finish.
func (g *gateway) Batch(stream batchStream) error {
	first, err := stream.Recv()
	if err != nil && err != io.EOF {
		return err
	}
	if refused := refuseOptions(first.GetOptions()); refused != nil {
		return refused
	}
	b := newBatch(stream.Context(), g.caller, g.inFlight, first.GetOptions())
	defer b.close()
	go read(stream, b, first, err)
	return send(stream, b)
}

func read(stream batchStream, b *batch, message *pb.BatchRequest, err error) {
	for err == nil {
		if err = b.admit(message.Calls); err == nil {
			b.waitForRoom()
			message, err = stream.Recv()
		}
	}
	if err == io.EOF {
		err = nil
	}
	b.end(err)
}

func send(stream batchStream, b *batch) error {
	var response pb.BatchResponse
	var spare []*answer
	for {
		select {
		case <-b.wake:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
		results, last := b.take(spare)
		spare = results
		response.Results = response.Results[:0]
		for _, a := range results {
			response.Results = append(response.Results, &a.result)
		}
		if last && b.failure == nil {
			response.Summary = b.summarize()
		}
		if len(results) > 0 || response.Summary != nil {
			if err := stream.Send(&response); err != nil {
				return err
			}
		}
		// Send has encoded the message and no handler of statistics looks at it later: the memory is free again.
		for _, a := range results {
			a.release()
		}
		if last {
			return b.failure
		}
	}
}
