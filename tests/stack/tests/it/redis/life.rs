//! Starting and ending: ports, the end of connections, data that is kept.

use std::net::{TcpListener, TcpStream};

use stack::redis::{Options, Redis};

use super::client::{Client, Real, ours};

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = format!("{:#}", Redis::start(Options { port, ..Options::default() }).unwrap_err());
    assert!(error.contains(&format!("Redis cannot listen on 127.0.0.1:{port}")), "{error}");
}

#[test]
fn two_servers_know_nothing_of_each_other() {
    let (one, other) = (ours(Options::default()), ours(Options::default()));
    let (mut first, mut second) = (Client::new(one.address()), Client::new(other.address()));
    first.ask("SET k v");
    assert_eq!(second.ask("GET k"), "$-1\\r\\n");
}

#[test]
fn the_end_of_the_server_ends_its_connections_and_frees_its_port() {
    let server = ours(Options::default());
    let (address, mut client) = (server.address(), Client::new(server.address()));
    client.ask("PING");
    drop(server);
    assert_eq!(client.rest(), "");
    assert!(TcpStream::connect(address).is_err());
    let again = ours(Options { port: address.port(), ..Options::default() });
    assert_eq!(again.address(), address);
}

#[test]
fn clients_that_go_are_forgotten_with_what_they_watched_and_listened_to() {
    let server = ours(Options::default());
    let mut stays = Client::new(server.address());
    for request in ["SUBSCRIBE c", "WATCH k", "MULTI", "MONITOR"] {
        Client::new(server.address()).ask(request);
    }
    super::client::wait_for("four clients to go", || stays.ask("CLIENT LIST").matches("addr=").count() == 2);
    assert_eq!(stays.ask("PUBLISH c m"), ":0\\r\\n");
}

#[test]
fn a_folder_keeps_the_data_and_takes_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let server = ours(options.clone());
    let mut client = Client::new(server.address());
    client.ask("HSET 9999 object:a/b {}");
    let large: Vec<String> = (0..1000).map(|number| format!("file:{number} v")).collect();
    client.ask(&format!("HSET large {}", large.join(" ")));
    client.ask("SELECT 3");
    client.ask("SET lease \\x0d\\x0a\\xff PXAT 4102444800123");
    let error = format!("{:#}", Redis::start(options.clone()).unwrap_err());
    assert!(error.contains("another Redis keeps its data in"), "{error}");
    drop(server);

    let server = ours(options.clone());
    let mut client = Client::new(server.address());
    assert_eq!(client.ask("HGETALL 9999"), "*2\\r\\n$10\\r\\nobject:a/b\\r\\n$2\\r\\n{}\\r\\n");
    assert_eq!(client.ask("HLEN large"), ":1000\\r\\n");
    client.ask("SELECT 3");
    assert_eq!(client.ask("GET lease"), "$3\\r\\n\\r\\n\\xff\\r\\n");
    assert_eq!(client.ask("PEXPIRETIME lease"), ":4102444800123\\r\\n");
    drop(server);

    let file = folder.path().join("redis.resp");
    let bytes = std::fs::read(&file).unwrap();
    for (damaged, expected) in [(&bytes[..bytes.len() - 1], "breaks off"), (b"junk", "is no data of Redis")] {
        std::fs::write(&file, damaged).unwrap();
        let error = format!("{:#}", Redis::start(options.clone()).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn monitor_shows_what_others_do() {
    let ours = ours(Options::default());
    let real = Real::start("redis::life::monitor", &[]);
    let requests =
        ["SELECT 3", "SET k \\x00\\x22\\x5c\\x0d\\x0a\\xff", "MULTI", "get k", "PING", "EXEC", "CONFIG GET port"];
    let shown = |address| {
        let (mut watcher, mut client) = (Client::new(address), Client::new(address));
        assert_eq!(watcher.ask("MONITOR"), "+OK\\r\\n");
        for request in requests {
            client.ask(request);
        }
        // Time and port differ.
        let port = client.stream().local_addr().unwrap().port().to_string();
        let mut lines = (0..6).map(|_| watcher.reply().replace(&port, "port"));
        lines.by_ref().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let lines = shown(ours.address());
    assert_eq!(lines[0], r#"[3 127.0.0.1:port] \"SELECT\" \"3\"\r\n"#);
    if let Some(real) = real {
        assert_eq!(lines, shown(real.address()), "left: ours, right: redis-server");
    }
}
