// Makes the inner request of a call. It must never let a URL out of the service root, nor a client's hop-by-hop field through.

package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	pb "github.com/batchwire/batchwire/bench/peers/go_gateway/gen/batchwirev1"
)

// Fields of a call that are the connection's business, or that a client must not claim.
var notForwarded = map[string]bool{
	"Accept-Encoding": true, "Batchwire-Hop": true, "Connection": true, "Content-Length": true, "Forwarded": true,
	"Host": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "True-Client-Ip": true,
	"Upgrade": true, "Via": true, "X-Real-Ip": true,
}

var methods = map[string]bool{
	http.MethodGet: true, http.MethodPut: true, http.MethodPost: true, http.MethodPatch: true, http.MethodDelete: true,
}

// No User-Agent of our own: net/http adds one unless the field is there and empty.
var noUserAgent = []string{""}

// request makes the inner request of a call, or says why it is refused.
func (c *caller) request(call *pb.Call, common []*pb.Header) (*http.Request, *refusal) {
	refuse := func(message string) (*http.Request, *refusal) {
		return nil, &refusal{400, pb.Outcome_OUTCOME_REFUSED, "BadRequest", message}
	}
	if call.AtomicityGroup != "" || call.Condition != nil || strings.HasPrefix(call.Url, "$") {
		return nil, &refusal{501, pb.Outcome_OUTCOME_REFUSED, "NotImplemented",
			"groups, conditions and references are not supported"}
	}
	method := strings.ToUpper(call.Method)
	if !methods[method] {
		return refuse("the method is not supported")
	}
	if call.Body != nil && (method == http.MethodGet || method == http.MethodDelete) {
		return refuse("a call of this method has no body")
	}
	target, err := c.resolve(call.Url)
	if err != nil {
		return refuse("the URL is not one under the service root")
	}
	header := make(http.Header, len(call.Headers)+len(common)+1)
	header["User-Agent"] = noUserAgent
	for _, field := range call.Headers {
		if !addField(header, field) {
			return refuse("a header field is not valid")
		}
	}
	for _, field := range common {
		if _, has := header[http.CanonicalHeaderKey(field.Name)]; !has && !addField(header, field) {
			return refuse("a header field of the batch is not valid")
		}
	}
	request := &http.Request{
		Method: method, URL: target, Host: c.base.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if call.Body != nil {
		request.ContentLength = int64(len(call.Body))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(call.Body)), nil }
		request.Body, _ = request.GetBody()
		if len(call.Body) == 0 {
			request.Body = http.NoBody
		}
	}
	return request, nil
}

func addField(header http.Header, field *pb.Header) bool {
	if !httpguts.ValidHeaderFieldName(field.Name) || !httpguts.ValidHeaderFieldValue(field.Value) {
		return false
	}
	name := http.CanonicalHeaderKey(field.Name)
	if !notForwarded[name] && !strings.HasPrefix(name, "X-Forwarded-") {
		header[name] = append(header[name], field.Value)
	}
	return true
}

// resolve gives the URL of a call under the base; nothing leads out of it.
func (c *caller) resolve(text string) (*url.URL, error) {
	outside := errors.New("outside the service root")
	if strings.ContainsAny(text, "#\\") || strings.HasPrefix(text, "//") {
		return nil, outside
	}
	if colon := strings.IndexByte(text, ':'); colon >= 0 && !strings.ContainsAny(text[:colon], "/?") {
		return nil, outside
	}
	if !strings.HasPrefix(text, "/") {
		text = c.base.Path + text
	}
	target, err := url.ParseRequestURI(text)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(target.Path, c.base.Path) || strings.Contains(target.Path, "\\") {
		return nil, outside
	}
	if strings.Contains(target.Path, "/.") {
		for _, segment := range strings.Split(target.Path, "/") {
			if segment == "." || segment == ".." {
				return nil, outside
			}
		}
	}
	target.Scheme, target.Host = c.base.Scheme, c.base.Host
	return target, nil
}
