// Makes the media that the load tester's clients send, with an ffmpeg that has libopus and libvpx (on Debian: ffmpeg):
//
//   node scripts/frames.mjs
//
// Four seconds of each; a client sends them in a loop, from a key frame on.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SECONDS = 4;
const folder = fileURLToPath(new URL('../frames/', import.meta.url));

const ffmpeg = (source, ...output) =>
  execFileSync('ffmpeg', ['-y', '-loglevel', 'error', '-f', 'lavfi', '-i', source, '-fflags', '+bitexact', ...output], {
    cwd: folder,
    stdio: 'inherit',
  });

// A siren in syllables: no packet of it is silence, which an encoder with DTX would leave out.
const siren = `aevalsrc=(0.35+0.25*sin(2*PI*4*t))*sin(2*PI*330*t+60*sin(2*PI*0.5*t)):s=48000:d=${SECONDS}`;
ffmpeg(siren, '-c:a', 'libopus', '-b:a', '32k', '-frame_duration', '20', '-application', 'voip', 'audio.opus');

// Every frame is shown (no alternate references), and every second begins with a key frame.
const pattern = `testsrc2=size=320x240:rate=25:duration=${SECONDS}`;
const realtime = ['-deadline', 'good', '-auto-alt-ref', '0', '-lag-in-frames', '0', '-g', '25', '-keyint_min', '25'];
ffmpeg(pattern, '-c:v', 'libvpx', '-b:v', '200k', '-maxrate', '300k', '-bufsize', '300k', ...realtime, 'video.ivf');
