// The answer to a call: how it is read from the upstream or made by the gateway, and the memory it is kept in.

package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	pb "github.com/batchwire/batchwire/bench/peers/go_gateway/gen/batchwirev1"
)

const (
	maxResponseBytes = 16 << 20
	// A body larger than this is not kept for the next answer: one large call must not hold its memory for ever.
	keptBytes = 64 << 10
)

var errTooLarge = errors.New("the answer is too large")

// A refusal is the answer of the gateway itself to a call.
type refusal struct {
	status  uint32
	outcome pb.Outcome
	code    string
	message string
}

// An answer is the result of a call with the memory that it needs, which the next call's answer takes over.
type answer struct {
	result  pb.Result
	timings pb.Timings
	headers []*pb.Header
	body    []byte
}

var answers = sync.Pool{New: func() any { return new(answer) }}

func (a *answer) release() {
	if cap(a.body) <= keptBytes {
		answers.Put(a)
	}
}

func (a *answer) begin(id string) {
	a.result.Id, a.result.Body = id, nil
	a.result.Headers = a.headers[:0]
	a.result.AtomicityGroup = ""
	a.timings.StartedUs, a.timings.ElapsedUs = 0, 0
	a.result.Timings = &a.timings
}

func (a *answer) addHeader(name, value string) {
	count := len(a.result.Headers)
	if count == len(a.headers) {
		a.headers = append(a.headers, new(pb.Header))
	}
	a.headers[count].Name, a.headers[count].Value = name, value
	a.result.Headers = a.headers[:count+1]
}

func (a *answer) refuse(r refusal) {
	a.result.Headers = a.headers[:0]
	a.addHeader("Content-Type", "application/json")
	a.result.Status, a.result.Outcome = r.status, r.outcome
	// Codes and messages are constants without characters that JSON would escape.
	a.result.Body = []byte(`{"error":{"code":"` + r.code + `","message":"` + r.message + `"}}`)
}

func (a *answer) read(response *http.Response) error {
	defer response.Body.Close()
	if err := a.readBody(response); err != nil {
		return err
	}
	a.result.Status = uint32(response.StatusCode)
	a.result.Outcome = pb.Outcome_OUTCOME_FAILED
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		a.result.Outcome = pb.Outcome_OUTCOME_SUCCEEDED
	}
	connection := response.Header["Connection"]
	for name, values := range response.Header {
		if hopByHop(name) || len(connection) > 0 && httpguts.HeaderValuesContainsToken(connection, name) {
			continue
		}
		for _, value := range values {
			a.addHeader(name, text(value))
		}
	}
	return nil
}

func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding",
		"Upgrade":
		return true
	}
	return false
}

func (a *answer) readBody(response *http.Response) error {
	length := response.ContentLength
	if length > maxResponseBytes {
		return errTooLarge
	}
	if length >= 0 {
		if int64(cap(a.body)) < length {
			a.body = make([]byte, length)
		}
		a.body = a.body[:length]
		if _, err := io.ReadFull(response.Body, a.body); err != nil {
			return err
		}
	} else {
		buffer := bytes.NewBuffer(a.body[:0])
		if _, err := buffer.ReadFrom(io.LimitReader(response.Body, maxResponseBytes+1)); err != nil {
			return err
		}
		if buffer.Len() > maxResponseBytes {
			return errTooLarge
		}
		a.body = buffer.Bytes()
	}
	if len(a.body) > 0 {
		a.result.Body = a.body
	}
	return nil
}

// text gives a header value of an upstream as UTF-8; bytes that are not are read as Latin-1.
func text(value string) string {
	if utf8.ValidString(value) {
		return value
	}
	runes := make([]rune, len(value))
	for i := range len(value) {
		runes[i] = rune(value[i])
	}
	return string(runes)
}
