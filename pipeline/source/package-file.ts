/** Fetches a package's bytes, from a file or over https, within limits of size and time. */
import { open } from "node:fs/promises";
import { Fatal, Transient } from "../errors.ts";
import { isLoopback } from "./endpoint.ts";

export interface PackageLimits {
  /** Largest package accepted, bytes. */
  readonly bytesMax: number;
  /** For a whole download, ms. */
  readonly timeoutMs: number;
  /** Certificate authorities (PEM) to trust instead of the system's. */
  readonly ca?: string;
}

export const PACKAGE_LIMITS: PackageLimits = { bytesMax: 64 * 1024 * 1024, timeoutMs: 60_000 };

const REDIRECTS_MAX = 3;

/**
 * Reads a package from a path or an https URL; http is for this machine only, also on redirects. Throws `Fatal`
 * PACKAGE_MISSING, PACKAGE_LOCATION, PACKAGE_TOO_LARGE, or `Transient` PACKAGE_DOWNLOAD for what may go over.
 */
export async function readPackage(location: string, limits: PackageLimits = PACKAGE_LIMITS): Promise<Uint8Array> {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(location) ? download(location, limits) : readFile(location, limits);
}

async function readFile(path: string, { bytesMax }: PackageLimits): Promise<Uint8Array> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw new Fatal("PACKAGE_MISSING", `the package cannot be opened: ${reason(error)}`, {
      where: path,
      hint: "source.package is the path of a .spkg file or an https URL. Names such as name@version are not looked up.",
      cause: error,
    });
  });
  try {
    const info = await file.stat();
    if (!info.isFile()) throw new Fatal("PACKAGE_MISSING", "the package is not a file", { where: path });
    if (info.size > bytesMax) throw tooLarge(path, bytesMax);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

async function download(location: string, limits: PackageLimits): Promise<Uint8Array> {
  const signal = AbortSignal.timeout(limits.timeoutMs);
  const tls = limits.ca === undefined ? {} : { tls: { ca: limits.ca } };
  let url = allowed(location, null);
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    try {
      const response = await fetch(url, { redirect: "manual", signal, ...tls });
      const target = response.headers.get("location");
      if (response.status >= 300 && response.status < 400 && target !== null) {
        url = allowed(target, url);
        continue;
      }
      if (!response.ok) throw refused(url, response.status);
      return await readBody(response, url, limits.bytesMax);
    } catch (error) {
      if (error instanceof Fatal || error instanceof Transient) throw error;
      throw new Transient("PACKAGE_DOWNLOAD", `the package could not be downloaded: ${reason(error)}`, {
        where: shown(url),
        cause: error,
      });
    }
  }
  throw new Fatal("PACKAGE_LOCATION", `more than ${REDIRECTS_MAX} redirects`, { where: location });
}

/** A server elsewhere must not send us to services of this machine, nor away from TLS. */
function allowed(location: string, from: URL | null): URL {
  const url = URL.parse(location, from?.href);
  const local = url !== null && isLoopback(url.hostname);
  const secure = url?.protocol === "https:" && (!local || from === null || isLoopback(from.hostname));
  const plain = url?.protocol === "http:" && local && (from === null || isLoopback(from.hostname));
  if (url !== null && (secure || plain)) return url;
  throw new Fatal("PACKAGE_LOCATION", "a package comes from a file or over https", {
    where: url === null ? location : shown(url),
    hint: from === null ? "Give the path of a .spkg file or an https URL." : `${shown(from)} redirects there.`,
  });
}

function refused(url: URL, status: number): Fatal | Transient {
  const details = { where: shown(url) };
  const message = `the server answered ${status}`;
  if (status === 429 || status >= 500) return new Transient("PACKAGE_DOWNLOAD", message, details);
  return new Fatal("PACKAGE_MISSING", message, details);
}

async function readBody(response: Response, url: URL, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  if (response.body !== null) {
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      size += chunk.length;
      if (size > bytesMax) throw tooLarge(shown(url), bytesMax);
      chunks.push(chunk);
    }
  }
  const announced = response.headers.get("content-length");
  if (announced !== null && response.headers.get("content-encoding") === null && Number(announced) !== size) {
    throw new Transient("PACKAGE_DOWNLOAD", `the download ended after ${size} of ${announced} bytes`, {
      where: shown(url),
    });
  }
  return Buffer.concat(chunks);
}

function tooLarge(where: string, bytesMax: number): Fatal {
  return new Fatal("PACKAGE_TOO_LARGE", `the package has more than ${bytesMax} bytes`, { where });
}

/** Without the parts that may hold secrets. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
