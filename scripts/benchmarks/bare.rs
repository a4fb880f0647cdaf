//! What `scripts/bench` compares mailsweep with: the same number of requests by the same HTTP
//! library, with as many in flight, and nothing else. No check, no record, no order.
//!
//! Usage: bench_bare PORT REQUESTS IN_FLIGHT

use futures::StreamExt;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().and_then(|arg| arg.parse::<usize>().ok()).expect("PORT REQUESTS IN_FLIGHT");
    let (port, requests, in_flight) = (next(), next(), next());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .tls_certs_only([])
        .pool_max_idle_per_host(in_flight)
        .build()
        .expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answered = runtime.block_on(async {
        futures::stream::iter(0..requests)
            .map(|i| {
                let url = format!(
                    "http://127.0.0.1:{port}/execute/Email/suspend_login?email=user{i:07}%40example.com"
                );
                let request = client.get(url).header("authorization", "cpanel exampleu:TOKEN");
                async move { request.send().await.expect("an answer").bytes().await.expect("a body").len() }
            })
            .buffer_unordered(in_flight)
            .map(|length| usize::from(length > 0))
            .fold(0, |sum, one| async move { sum + one })
            .await
    });
    assert_eq!(answered, requests);
}
