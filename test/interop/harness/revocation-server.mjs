// Serves the files of a folder by HTTP: node revocation-server.mjs FOLDER ADDRESS PORT
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, join } from "node:path";

const [folder, address, port] = process.argv.slice(2);
createServer((request, response) => {
  readFile(join(folder, basename(request.url ?? ""))).then(
    (octets) => response.end(octets),
    () => response.writeHead(404).end(),
  );
}).listen(Number(port), address);
