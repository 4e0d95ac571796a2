"""What heads and bodies are made of that try to smuggle: lengths, encodings, names, chunks, whole heads."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

LENGTHS = [
    b"",
    b"0",
    b"5",
    b"05",
    b"40",
    b"+5",
    b"-5",
    b"-0",
    b"5 5",
    b"5,5",
    b"5, 5",
    b"0x5",
    b"5.0",
    b"1e1",
    b"5;",
    b"5\0",
    b"5\x0b",
    b"\xb2",
    b"99999999999999999999",
    b"18446744073709551621",
    b'"5"',
    b"5\r",
    b"5\r\n 5",
    b"5_0",
]
ENCODINGS = [
    b"chunked",
    b"Chunked",
    b"CHUNKED",
    b"",
    b"identity",
    b"xchunked",
    b"chunked,",
    b",chunked",
    b"chunked, chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"chunked;q=1",
    b"chunked\x0b",
    b"\x0bchunked",
    b"chunked\0",
    b'"chunked"',
    b"chunked\r\n ",
    b"\r\n chunked",
    b"chu\tnked",
    b"chunke\xe4",
]
NAMES = [
    b"%s",
    b"%s ",
    b" %s",
    b"\t%s",
    b"%s\t",
    b"X\r\n%s",
    b"%s\0",
    b"\0%s",
    b"%s\r",
    b"-%s",
    b"%s-",
    b"X-%s",
    b"%s\xc4",
]
CHUNK_STREAMS = [
    CHUNKS,
    b"0\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"5\r\nhello\r\n0\r\n\n",
    b"5\r\nhello0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"-1\r\n\r\n",
    b"\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
    b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff1\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-End: 1\r\n\r\n",
    b"5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: b\r\n\r\n",
    b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX : 1\r\n\r\n",
    b"5\r\nhello\r\n0\r\n X: 1\r\n\r\n",
    b"5\r\nhello\r\n00\r\n\r\n",
    b"G\r\n",
    b"5\r\0hello",
]


def head(*lines: bytes, version: bytes = b"1.1", target: bytes = b"/case") -> bytes:
    return b"".join([
        b"POST %s HTTP/%s\r\nHost: a\r\n" % (target, version),
        *(line + b"\r\n" for line in lines),
        b"\r\n",
    ])


def length(value: bytes) -> bytes:
    return b"Content-Length: " + value


def encoding(value: bytes) -> bytes:
    return b"Transfer-Encoding: " + value


HEADS = [
    b"GET /case HTTP/1.1\nHost: a\n\n",
    b"GET /case HTTP/1.1\r\nHost: a\r\n\n",
    b"GET /case HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
    b"GET /case HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    b"GET /case HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    b"GET /case HTTP/1.1\r\n Host: a\r\n\r\n",
    b"GET /case HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
    b"GET /case HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    b"GET /case HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    b"GET /case HTTP/1.1\r\nHost: a\r\nX(: 1\r\n\r\n",
    b"GET /case HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
    b"GET  /case HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /case  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /case HTTP/1.1 \r\nHost: a\r\n\r\n",
    b" GET /case HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET\t/case\tHTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /case HTTP/1.2\r\nHost: a\r\n\r\n",
    b"GET /case HTTP/11\r\nHost: a\r\n\r\n",
    b"GET /case http/1.1\r\nHost: a\r\n\r\n",
    b"GET /case HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET /case\r\n\r\n",
    b"GET /ca\0se HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G(T /case HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\nGET /case HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\nGET /case HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    b"CONNECT /case HTTP/1.1\r\nHost: a\r\n\r\n",
    b"TRACE /case HTTP/1.1\r\nHost: a\r\n\r\n",
]
