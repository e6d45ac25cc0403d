// One batch in flight: what waits for what, what runs, and what has not been sent. It knows neither HTTP nor gRPC streams.

package main

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/batchwire/batchwire/bench/peers/go_gateway/gen/batchwirev1"
)

const (
	// Calls of a batch that are read and not yet sent as results; above it nothing is read.
	maxPending = 1024
	// Bytes of results that are not sent; above it no call starts.
	maxHeld = 1 << 20
	// Results are sent when there is this much of them, or this long after the message before. A message costs as
	// much as several results.
	chunk  = 128 << 10
	linger = 4 * time.Millisecond
)

// A node is a call of a batch and what waits for it.
type node struct {
	call       *pb.Call
	number     int
	waits      int
	blocked    bool
	done       bool
	succeeded  bool
	dependents []*node
}

// A batch is one batch in flight: which calls are ready, which run, and the results that nobody has taken.
type batch struct {
	ctx      context.Context
	cancel   context.CancelFunc
	caller   *caller
	inFlight int
	common   []*pb.Header
	began    time.Time

	mu        sync.Mutex
	room      sync.Cond
	wake      chan struct{}
	timer     *time.Timer
	lingering bool
	sent      time.Time

	byID    map[string]*node
	ready   []*node
	running int
	pending int
	unsent  int
	held    int
	results []*answer
	stops   bool
	stopped bool
	ended   bool
	closed  bool
	failure error
	summary pb.BatchSummary
}

// newBatch opens a batch; the deadline of its options holds besides the RPC's own.
func newBatch(ctx context.Context, caller *caller, inFlight int, options *pb.BatchOptions) *batch {
	var cancel context.CancelFunc
	if options.GetDeadline() != nil {
		ctx, cancel = context.WithTimeout(ctx, options.Deadline.AsDuration())
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	b := &batch{
		ctx: ctx, cancel: cancel, caller: caller, inFlight: inFlight, common: options.GetHeaders(), began: time.Now(),
		wake: make(chan struct{}, 1), byID: map[string]*node{},
		stops: options != nil && options.ContinueOnError != nil && !*options.ContinueOnError,
	}
	b.room.L = &b.mu
	b.sent = b.began
	return b
}

// admit takes the calls of a message. The message is checked whole before any of its calls starts.
func (b *batch) admit(calls []*pb.Call) error {
	nodes := make([]node, len(calls))
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, call := range calls {
		if !validID(call.Id) {
			return status.Error(codes.InvalidArgument, "a call has no valid id")
		}
		if b.byID[call.Id] != nil {
			return status.Errorf(codes.InvalidArgument, "the id %s is used by two calls", call.Id)
		}
		nodes[i].call, nodes[i].number = call, len(b.byID)
		b.byID[call.Id] = &nodes[i]
	}
	for i := range nodes {
		b.enter(&nodes[i])
	}
	return nil
}

// waitForRoom returns when another message may be read.
func (b *batch) waitForRoom() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.unsent >= maxPending && !b.closed {
		b.room.Wait()
	}
}

func validID(id string) bool {
	for i := range len(id) {
		c := id[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return id != ""
}

// enter starts a call, puts it behind others, or behind those that it depends on.
func (b *batch) enter(n *node) {
	b.pending++
	b.unsent++
	for _, id := range n.call.DependsOn {
		before := b.byID[id]
		switch {
		case before == nil || before.number >= n.number:
			n.blocked = true
		case !before.done:
			n.waits++
			before.dependents = append(before.dependents, n)
		case !before.succeeded:
			n.blocked = true
		}
	}
	if n.waits == 0 {
		b.start(n)
	}
}

func (b *batch) start(n *node) {
	if b.running < b.inFlight {
		b.running++
		go b.work(n)
	} else {
		b.ready = append(b.ready, n)
	}
}

// work runs a call and then, in the same goroutine with its grown stack, whatever else is ready.
func (b *batch) work(n *node) {
	for n != nil {
		a := answers.Get().(*answer)
		a.begin(n.call.Id)
		if r := b.verdict(n); r != nil {
			a.refuse(*r)
		} else {
			start := time.Now()
			b.caller.run(b.ctx, n.call, b.common, a)
			a.timings.StartedUs = uint64(start.Sub(b.began).Microseconds())
			a.timings.ElapsedUs = uint64(time.Since(start).Microseconds())
		}
		n = b.finish(n, a)
	}
}

// verdict tells why a call that is ready must not run.
func (b *batch) verdict(n *node) *refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.blocked {
		return &refusal{424, pb.Outcome_OUTCOME_DEPENDENCY_FAILED, "FailedDependency",
			"a call that this one depends on failed"}
	}
	if b.stopped {
		return &refusal{424, pb.Outcome_OUTCOME_DEPENDENCY_FAILED, "BatchStopped",
			"an earlier call failed and the batch is to stop then"}
	}
	return nil
}

// finish keeps a result, releases what waited for it, and returns the next call of this worker, or nil.
func (b *batch) finish(n *node, a *answer) *node {
	b.mu.Lock()
	defer b.mu.Unlock()
	n.done, n.call = true, nil
	n.succeeded = a.result.Outcome == pb.Outcome_OUTCOME_SUCCEEDED
	if b.stops && !n.succeeded {
		b.stopped = true
	}
	b.count(a.result.Outcome)
	b.results = append(b.results, a)
	b.held += len(a.result.Body)
	b.pending--
	for _, next := range n.dependents {
		next.waits--
		next.blocked = next.blocked || !n.succeeded
		if next.waits == 0 {
			b.start(next)
		}
	}
	n.dependents = nil
	b.announce()
	for b.held > maxHeld && !b.closed {
		b.room.Wait()
	}
	if len(b.ready) == 0 {
		b.running--
		return nil
	}
	next := b.ready[0]
	b.ready = b.ready[1:]
	return next
}

func (b *batch) count(outcome pb.Outcome) {
	s := &b.summary
	s.Calls++
	switch outcome {
	case pb.Outcome_OUTCOME_SUCCEEDED:
		s.Succeeded++
	case pb.Outcome_OUTCOME_FAILED:
		s.Failed++
	case pb.Outcome_OUTCOME_REFUSED:
		s.Refused++
	case pb.Outcome_OUTCOME_DEPENDENCY_FAILED:
		s.DependencyFailed++
	case pb.Outcome_OUTCOME_UNREACHABLE:
		s.Unreachable++
	case pb.Outcome_OUTCOME_TIMED_OUT:
		s.TimedOut++
	}
}

// announce wakes who sends results, at once when nothing else is to come, and after a while otherwise.
func (b *batch) announce() {
	since := time.Since(b.sent)
	if b.pending == 0 || b.held >= chunk || since >= linger {
		b.signal()
	} else if !b.lingering {
		b.lingering = true
		if b.timer == nil {
			b.timer = time.AfterFunc(linger-since, b.signal)
		} else {
			b.timer.Reset(linger - since)
		}
	}
}

func (b *batch) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// end says that no further calls come, because the client has ended the batch or because it is broken.
func (b *batch) end(failure error) {
	b.mu.Lock()
	b.ended, b.failure = true, failure
	b.mu.Unlock()
	b.signal()
}

// take hands over the results that are there, and whether they are the last.
func (b *batch) take(spare []*answer) (results []*answer, last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	results, b.results = b.results, spare[:0]
	b.unsent -= len(results)
	b.held, b.lingering = 0, false
	if len(results) > 0 {
		b.sent = time.Now()
		b.room.Broadcast()
	}
	return results, b.ended && b.pending == 0
}

// close stops the calls that run, and the waiting of workers and reader. Whoever opened a batch closes it.
func (b *batch) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cancel()
	if b.timer != nil {
		b.timer.Stop()
	}
	b.room.Broadcast()
}

// summarize gives the counts of a batch that has finished.
func (b *batch) summarize() *pb.BatchSummary {
	b.summary.Elapsed = durationpb.New(time.Since(b.began))
	return &b.summary
}
