//! A SOCKS5 proxy, for the tests of what is reached through one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// It asks nobody who he is. `place` is told where he wants to go (`host:port`), and says where that is.
pub(crate) async fn socks_proxy(place: impl Fn(&str) -> SocketAddr + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, place) = (listener.local_addr().unwrap(), Arc::new(place));
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let place = Arc::clone(&place);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(place(&target(&mut near).await?)).await?;
                near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
                copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    addr
}

/// The greeting, answered, and the request.
async fn target(near: &mut TcpStream) -> io::Result<String> {
    let mut greeting = [0; 2];
    near.read_exact(&mut greeting).await?;
    near.read_exact(&mut vec![0; usize::from(greeting[1])]).await?;
    near.write_all(&[5, 0]).await?;
    let mut request = [0; 4];
    near.read_exact(&mut request).await?;
    assert_eq!(request[..2], [5, 1]);
    let host = match request[3] {
        1 => {
            let mut ip = [0; 4];
            near.read_exact(&mut ip).await?;
            SocketAddr::from((ip, 0)).ip().to_string()
        }
        _ => {
            let mut name = vec![0; usize::from(near.read_u8().await?)];
            near.read_exact(&mut name).await?;
            String::from_utf8(name).unwrap()
        }
    };
    Ok(format!("{host}:{}", near.read_u16().await?))
}
