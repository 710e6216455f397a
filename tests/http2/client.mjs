// Node's HTTP/2 client: requests at once, an upload, a cancelled stream, a WebSocket, trailers.
import http2 from "node:http2";
import fs from "node:fs";

const [origin, authority] = process.argv.slice(2);
const options = authority ? { ca: fs.readFileSync(authority), servername: "localhost" } : {};
const session = http2.connect(origin, options);
await new Promise((ready) => session.once("remoteSettings", ready));

function ask(fields, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request(fields, { endStream: body === undefined });
    const answer = { content: "" };
    stream.setEncoding("latin1");
    stream.on("response", (head) => (answer.status = head[":status"]));
    stream.on("trailers", (trailers) => (answer.trailers = trailers["x-sum"]));
    stream.on("data", (data) => (answer.content += data));
    stream.on("end", () => resolve(answer));
    stream.on("error", reject);
    if (body !== undefined) stream.end(body);
  });
}

const found = {};
found.many = (
  await Promise.all([...Array(50).keys()].map((n) => ask({ ":path": `/echo?${n}` })))
).filter((answer) => answer.status === 200).length;
found.upload = (
  await ask({ ":path": "/size", ":method": "POST" }, Buffer.alloc(3_000_000))
).content;
found.trailers = (await ask({ ":path": "/trailers", te: "trailers" })).trailers;

const cancelled = session.request({ ":path": "/stream" });
await new Promise((begun) => cancelled.once("data", begun));
cancelled.close(http2.constants.NGHTTP2_CANCEL);
await new Promise((closed) => cancelled.once("close", closed));
found.cancelled = cancelled.rstCode;

const socket = session.request({
  ":method": "CONNECT", ":protocol": "websocket", ":path": "/socket", "sec-websocket-version": "13",
});
found.websocket = await new Promise((resolve) => {
  socket.on("response", () => socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])));
  socket.on("data", (data) => resolve(data.toString("hex")));
});
socket.close();
session.close();
console.log(JSON.stringify(found));
