// The origin of the scenario `grpc`: answers each unary call with the message that it was sent, over HTTP/2
// without TLS. The standard library alone, so that it is built without a module.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func answer(writer http.ResponseWriter, call *http.Request) {
	if call.ProtoMajor != 2 || call.Header.Get("Content-Type") != "application/grpc" {
		http.Error(writer, "gRPC over HTTP/2 alone", http.StatusUnsupportedMediaType)
		return
	}
	message, err := io.ReadAll(call.Body)
	if err != nil {
		// The caller has gone, or the gateway has broken the call off.
		panic(http.ErrAbortHandler)
	}
	writer.Header().Set("Content-Type", "application/grpc")
	writer.Write(message)
	// Else the library adds a Content-Length, which no gRPC server sends.
	writer.(http.Flusher).Flush()
	writer.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

func main() {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Addr:      os.Args[1],
		Handler:   http.HandlerFunc(answer),
		Protocols: protocols,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 1000},
	}
	log.Fatal(server.ListenAndServe())
}
