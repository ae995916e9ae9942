// How mediasoup-worker is compiled from the sources inside the npm package, against the distribution's libraries.
// Pure: texts in, texts out. build.mjs does the work.

import { createHash } from 'node:crypto';

export const packages = [
  'g++',
  'ninja-build',
  'flatbuffers-compiler',
  'libabsl-dev',
  'libflatbuffers-dev',
  'libsrtp2-dev',
  'libssl-dev',
  'libuv1-dev',
];

export const flatcArgs = [
  '--cpp',
  ['--cpp-field-case-style', 'lower'],
  '--reflect-names',
  '--scoped-enums',
  ['--filename-suffix', ''],
].flat();

// MS_EXECUTABLE: without it the worker logs as a library would and dies of SIGHUP.
const defines = ['NDEBUG', 'MS_EXECUTABLE', 'FLATBUFFERS_LOCALE_INDEPENDENT=1'];

/** The strings of `name = [ … ]` in a meson.build file. */
export function mesonList(text, name) {
  const list = new RegExp(`^${name}\\s*=\\s*\\[([^\\]]*)\\]`, 'm').exec(text);
  if (!list) throw new Error(`meson.build has no list "${name}"`);
  return [...list[1].replace(/#.*$/gm, '').matchAll(/'([^']+)'/g)].map((match) => match[1]);
}

/** All sources of the executable, relative to the worker's folder. */
export function workerSources({ meson, libwebrtcMeson }) {
  return [
    ...mesonList(meson, 'common_sources'),
    // meson adds these unless the unfinished built-in bandwidth estimation is chosen.
    'src/DepLibWebRTC.cpp',
    'src/RTC/TransportCongestionControlClient.cpp',
    'src/RTC/TransportCongestionControlServer.cpp',
    'src/main.cpp',
    ...mesonList(libwebrtcMeson, 'libwebrtc_sources').map((path) => `deps/libwebrtc/${path}`),
  ];
}

// Sources that stay alone: what they define without a name of their own, or as a macro, would reach those behind them,
// and a template must be specialized before anything in front of them uses it.
const alone = [/^\s*#\s*define (?!MS_CLASS)/m, /^\s*(namespace|enum)\s*(\{|$)/m, /^\s*template\s*(<>|class|struct)/m];
// Names that a source keeps to itself. Two that have one in common cannot be joined.
const fileLocal =
  /^\s*(?:(?:alignas\(\d+\)|inline|thread_local)\s+)*(?:static|const|constexpr)\b[^;({=[]*?(\w+)\s*[;({=[]/gm;
const largestUnit = 150_000;

/**
 * Groups of sources to compile as one translation unit each. Nearly every source reaches the same 180,000 lines of
 * headers, which cost more than it does itself: joined with their neighbours they build in less than half the time.
 * `read` gives a source's text. The largest come first, so that the last to be compiled are short.
 */
export function translationUnits(sources, read) {
  const units = [];
  for (const source of sources) {
    const text = read(source);
    const names = alone.some((pattern) => pattern.test(text))
      ? undefined
      : new Set([...text.matchAll(fileLocal)].map((match) => match[1]));
    // Joined within one part of the tree only: libwebrtc's names need not agree with mediasoup's.
    const part = source.split('/', 1)[0];
    const unit = units.find(
      (unit) =>
        names && unit.names && unit.part === part && unit.size + text.length <= largestUnit && apart(unit.names, names),
    );
    if (unit) {
      unit.members.push(source);
      unit.size += text.length;
      for (const name of names) unit.names.add(name);
    } else {
      units.push({ part, names, members: [source], size: text.length });
    }
  }
  return units.sort((a, b) => b.size - a.size).map(({ members }) => members);
}

const apart = (some, others) => [...others].every((name) => !some.has(name));

/** The text of a translation unit; `paths` are absolute. Each source defines its own MS_CLASS for its log lines. */
export function unitText(paths) {
  return paths.map((path) => `#include "${path}"\n#undef MS_CLASS\n`).join('');
}

/**
 * The sources that are corrected before they are compiled: their paths, and what makes one text the other. A worker
 * without the first correction dies at its first handshake here; without the others it loses a call now and then.
 */
export const patches = {
  'src/RTC/DtlsTransport.cpp': patchDtlsTransport,
  'src/RTC/WebRtcServer.cpp': patchWebRtcServer,
};

/**
 * First the BIO callback. OpenSSL calls it with `BIO_CB_RETURN | <operation>` after an operation and takes what it
 * returns for the operation's result; the comparison never matches, so every control call's 0 becomes a 1. Where OpenSSL
 * is built with kernel TLS (Debian), BIO_get_ktls_send() then says yes, no write buffer is allocated, and the first
 * handshake ends in a segmentation fault.
 *
 * Then the retransmission of a flight. libuv counts a timer from the time at which the turn of the loop began; OpenSSL
 * goes by the clock. In a turn of 15 ms or more, which is a few handshakes in a row, the timer fires before OpenSSL's
 * time: nothing is sent again, then or ever, and a handshake that lost a packet hangs.
 */
function patchDtlsTransport(text) {
  const corrected = replaceOnce(text, '(operationType == BIO_CB_RETURN)', '((operationType & BIO_CB_RETURN) != 0)');
  return replaceOnce(
    corrected,
    `		else if (ret == -1)
		{
			MS_WARN_TAG(dtls, "DTLSv1_handle_timeout() failed");`,
    `		else if (uv_timeval_t left{ 0, 0 }; ret == 0 && DTLSv1_get_timeout(this->ssl, &left) == 1)
		{
			this->timer->Start((left.tv_sec * static_cast<int64_t>(1000)) + (left.tv_usec / 1000) + 1);
		}
		else if (ret == -1)
		{
			MS_WARN_TAG(dtls, "DTLSv1_handle_timeout() failed");`,
  );
}

/**
 * Whose a STUN request is says its USERNAME (RFC 8445 section 7.3), whatever address it comes from. Upstream looks at the
 * address first (versatica/mediasoup issue 1690): a client whose port was that of a call that is not gone yet is refused
 * in that call's name for as long as it is there. Once a request has proved that it knows the password, its address
 * belongs to its own call, and no longer to the other. A TCP connection stays with the call that it began with.
 */
function patchWebRtcServer(text) {
  const corrected = replaceOnce(
    text,
    `		// First try doing lookup in the tuples table.
		auto it1 = this->mapTupleWebRtcTransport.find(tuple->GetTupleKey());

		if (it1 != this->mapTupleWebRtcTransport.end())
`,
    `		auto it1 = this->mapTupleWebRtcTransport.find(tuple->GetTupleKey());

		if (
		  it1 != this->mapTupleWebRtcTransport.end() &&
		  (tuple->GetProtocol() == RTC::TransportTuple::Protocol::TCP ||
		   !this->mapLocalIceUsernameFragmentWebRtcTransport.contains(
		     WebRtcServer::GetLocalIceUsernameFragmentFromReceivedStunPacket(packet))))
`,
  );
  return replaceOnce(
    corrected,
    `		if (this->mapTupleWebRtcTransport.contains(tupleKey))
		{
			MS_WARN_TAG(ice, "tuple key already exists in the table");

			return;
		}
`,
    `		auto it = this->mapTupleWebRtcTransport.find(tupleKey);

		if (it != this->mapTupleWebRtcTransport.end() && it->second != webRtcTransport)
		{
			// Takes it out of the table too.
			it->second->RemoveTuple(tuple);
		}
`,
  );
}

function replaceOnce(text, from, to) {
  const parts = text.split(from);
  if (parts.length !== 2) {
    throw new Error(`a source has changed: what is to be corrected was not found exactly once: ${from.trim()}`);
  }
  return parts.join(to);
}

/**
 * A build.ninja. `units` are `{ source, object }`, all paths absolute. OpenSSL, libsrtp and libuv are linked shared, so
 * that the distribution's security updates reach the worker. Abseil is static and all of it is offered: its parts differ
 * from release to release, and the linker takes what is needed.
 */
export function ninjaFile({ units, includes, abseil, output, littleEndian }) {
  const flags = [
    '-std=c++20 -O2 -w -pthread',
    ...defines.map((define) => `-D${define}`),
    littleEndian ? '-DMS_LITTLE_ENDIAN' : '-DMS_BIG_ENDIAN',
    ...includes.map((folder) => `-I${quote(folder)}`),
  ];
  const objects = units.map(({ object }) => escaped(object)).join(' ');
  const compile = `g++ ${flags.join(' ')}`;
  const archives = `-Wl,--start-group ${abseil.map(quote).join(' ')} -Wl,--end-group`;
  return `rule compile
  command = ${compile} -c $in -o $out
rule link
  command = g++ -pthread @$out.rsp ${archives} -lsrtp2 -luv -lssl -lcrypto -o $out
  rspfile = $out.rsp
  rspfile_content = $in
${units.map(({ source, object }) => `build ${escaped(object)}: compile ${escaped(source)}`).join('\n')}
build ${escaped(output)}: link ${objects}
`;
}

const escaped = (path) => path.replace(/[$ :]/g, '$$$&');
const quote = (path) => `'${path.replaceAll('$', '$$$$').replaceAll("'", `'\\''`)}'`;

/** Names a recipe: any change of its files names another one. */
export function recipeHash(texts) {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text.length}:`).update(text);
  return hash.digest('hex').slice(0, 12);
}
