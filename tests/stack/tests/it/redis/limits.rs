//! Memory, passwords and the number of clients.

use stack::redis::Options;

use super::client::{Client, Real, ours};

#[test]
fn when_the_memory_is_used_up_only_what_needs_more_is_refused() {
    let ours = ours(Options { max_memory: 4 << 20, ..Options::default() });
    let real = Real::start("redis::limits::memory", &["--maxmemory", "4mb"]);
    for address in [Some(ours.address()), real.as_ref().map(Real::address)].into_iter().flatten() {
        let mut client = Client::new(address);
        let refused = "-OOM command not allowed when used memory > \\'maxmemory\\'.\\r\\n";
        let mut count = 0;
        // First with large values, then with small ones, until there is no room for either.
        for length in [60_000, 100] {
            while client.ask(&format!("HSET h {count} {{v*{length}}}")) != refused {
                count += 1;
                assert!(count < 10_000, "4 MiB never fill");
            }
        }
        for request in ["SET k {v*200}", "APPEND k {v*200}", "INCR {k*200}", "HINCRBY h {n*200} 1", "MSET a {v*200}"] {
            assert_eq!(client.ask(request), refused, "{request}");
        }
        assert_eq!(client.ask("HLEN h"), format!(":{count}\\r\\n"));
        assert_eq!(client.ask("MULTI"), "+OK\\r\\n");
        assert_eq!(client.ask("GET {k*200}"), refused);
        let aborted = "-EXECABORT Transaction discarded because of previous errors.\\r\\n";
        assert_eq!(client.ask("EXEC"), aborted);
        assert_eq!(client.ask("HDEL h 0 1 2 3"), ":4\\r\\n");
        assert_eq!(client.ask("SET k v"), "+OK\\r\\n");
        assert_eq!(client.ask("FLUSHALL"), "+OK\\r\\n");
    }
}

#[test]
fn without_the_password_nothing_is_done_and_little_is_read() {
    let ours = ours(Options { password: Some("secret".to_owned()), ..Options::default() });
    let real = Real::start("redis::limits::password", &["--requirepass", "secret"]);
    let mut all = Vec::new();
    for address in [Some(ours.address()), real.as_ref().map(Real::address)].into_iter().flatten() {
        let mut client = Client::new(address);
        let mut said = Vec::new();
        let requests = [
            "PING",
            "GET k",
            "NONSENSE",
            "GET",
            "MULTI",
            "EXEC",
            "HELLO",
            "HELLO 3",
            "HELLO 3 AUTH default wrong",
            "HELLO 3 AUTH other secret",
            "AUTH wrong",
            "AUTH other secret",
            "AUTH default wrong",
            "RESET",
            "AUTH secret",
            "GET k",
            "CLIENT GETNAME",
            "AUTH wrong",
            "GET k",
            "RESET",
            "GET k",
            "AUTH default secret",
            "GET k",
        ];
        said.extend(requests.map(|request| format!("{request}  =>  {}", client.ask(request))));
        let mut client = Client::new(address);
        assert!(client.ask("HELLO 3 AUTH default secret SETNAME me").starts_with('%'));
        said.push(client.ask("CLIENT GETNAME"));
        for bytes in ["*11\r\n", "*2\r\n$4\r\nAUTH\r\n$16385\r\n"] {
            let mut client = Client::new(address);
            client.send(bytes.as_bytes());
            said.push(client.rest());
        }
        all.push(said);
    }
    if let [ours, real] = &all[..] {
        assert_eq!(ours, real, "left: ours, right: redis-server");
    }
    assert!(all[0].contains(&"GET k  =>  -NOAUTH Authentication required.\\r\\n".to_owned()));
}

#[test]
fn a_key_dies_when_its_time_comes() {
    let ours = ours(Options::default());
    let mut client = Client::new(ours.address());
    client.ask("SET k v PX 20");
    client.ask("HSET h f v");
    client.ask("PEXPIRE h 20");
    client.ask("WATCH k");
    super::client::wait_for("the death of two keys", || client.ask("DBSIZE") == ":0\\r\\n");
    assert_eq!(client.ask("MULTI"), "+OK\\r\\n");
    assert_eq!(client.ask("PING"), "+QUEUED\\r\\n");
    assert_eq!(client.ask("EXEC"), "*-1\\r\\n", "the death of a watched key is a change");
    assert!(client.ask("INFO stats").contains("expired_keys:2"));
}
