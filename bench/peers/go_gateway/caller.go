// Sends calls to the upstream. It must never follow a redirect, keep a cookie, or let a call run without a deadline.

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	pb "github.com/batchwire/batchwire/bench/peers/go_gateway/gen/batchwirev1"
)

const (
	callTimeout    = 30 * time.Second
	connectTimeout = 5 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeaderBytes = 32 << 10
)

// A caller sends calls to one upstream.
type caller struct {
	base      *url.URL
	transport *http.Transport
}

func newCaller(base *url.URL, connections int) *caller {
	if !strings.HasSuffix(base.Path, "/") {
		base.Path += "/"
	}
	dialer := &net.Dialer{Timeout: connectTimeout}
	return &caller{base, &http.Transport{
		DialContext:            dialer.DialContext,
		MaxIdleConns:           connections,
		MaxIdleConnsPerHost:    connections,
		MaxConnsPerHost:        connections,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
	}}
}

// run makes a call and fills in the answer: the upstream's, or 400, 501, 502 or 504.
func (c *caller) run(ctx context.Context, call *pb.Call, common []*pb.Header, a *answer) {
	request, refused := c.request(call, common)
	if refused != nil {
		a.refuse(*refused)
		return
	}
	timeout := callTimeout
	if call.Timeout != nil {
		timeout = call.Timeout.AsDuration()
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// RoundTrip and not Client.Do: a gateway follows no redirects and keeps no cookies.
	response, err := c.transport.RoundTrip(request.WithContext(limited))
	if err == nil {
		err = a.read(response)
	}
	if err == nil {
		return
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(limited.Err(), context.DeadlineExceeded) {
		a.refuse(refusal{504, pb.Outcome_OUTCOME_TIMED_OUT, "Timeout", "the upstream took too long"})
		return
	}
	a.refuse(refusal{502, pb.Outcome_OUTCOME_UNREACHABLE, "BadGateway", "the upstream could not be reached or broke off"})
}
