package bench_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/smache/smache/bench"
)

// A server is loaded over HTTP with a request of one's own, and the figures read from
// the result. Failures are no error of Run.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"hello":"`+r.URL.Query().Get("name")+`"}`)
	}))
	defer server.Close()

	endpoint, path, err := bench.SplitURL(server.URL + "/greet?name={key}")
	if err != nil {
		fmt.Println(err)
		return
	}
	workload, err := bench.NewHTTP(bench.WorkloadConfig{
		Endpoint: endpoint,
		Keys:     bench.Keys{Prefix: "user-", Count: 100},
	}, bench.HTTPCall{Path: path, Answer: `{"hello":"{key}"}`})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := bench.Run(context.Background(), bench.Config{Workload: workload, Clients: 4, Requests: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.About)
	fmt.Println(result.OK, "right,", result.Failed(), "failed")
	fmt.Println("figures:", result.RequestsPerSecond > 0 && result.Latency.P99 >= result.Latency.P50)
	// Output:
	// GET /greet?name={key}, 100 keys at random
	// 1000 right, 0 failed
	// figures: true
}
