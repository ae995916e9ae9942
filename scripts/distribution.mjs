// What the set-up takes from the distribution. On Debian and Ubuntu, as root, it installs what is missing itself;
// elsewhere it says what to install.

import { existsSync, readFileSync } from 'node:fs';
import { progress, run, SetupError } from './system.mjs';

/** ID and VERSION_ID of /etc/os-release, such as "debian12", or '' where there is none. */
export function distributionName(osRelease) {
  const field = (name) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(osRelease)?.[1] ?? '';
  return field('ID') + field('VERSION_ID');
}

export function osRelease() {
  return existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
}

/**
 * Makes sure that `packages` are there, or what they bring: `present` tells on systems without dpkg. `purpose` and
 * `elsewhere` complete the message where they cannot be installed: what for, and what it is that other systems need.
 */
export async function install(packages, { purpose, elsewhere, present }) {
  const missing = await missingOf(packages);
  if (missing?.length === 0) return;
  if (!missing && (await present())) return;
  const command = `apt-get install --no-install-recommends ${(missing ?? packages).join(' ')}`;
  if (!missing) {
    throw new SetupError(
      `${purpose} needs ${elsewhere}. Install what is missing and start again. On Debian or Ubuntu:\n\n  sudo ${command}\n`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new SetupError(
      `${purpose} needs packages that are not installed. Run\n\n  sudo ${command}\n\nand start again.`,
    );
  }
  const shown = progress(`installing ${missing.join(', ')}`);
  try {
    // The package lists of a fresh image are empty, those of an old one name versions that are gone.
    let result = await apt('install', ...missing);
    if (result.code !== 0) {
      await apt('update');
      result = await apt('install', ...missing);
    }
    if (result.code !== 0) {
      throw new SetupError(
        `${result.output}\n${purpose} needs packages that could not be installed. Try\n\n  apt-get update && ${command}\n`,
      );
    }
  } finally {
    shown.end();
  }
}

/** Those of `packages` that dpkg does not have, or undefined where there is no dpkg. */
async function missingOf(packages) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const { code, output } = await run('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...packages]);
  return code === null ? undefined : notInstalled(packages, output);
}

/** Reads the lines `<package> <status>` of dpkg-query. */
export function notInstalled(packages, output) {
  const lines = new Set(output.split('\n'));
  return packages.filter((name) => !lines.has(`${name} installed`));
}

function apt(command, ...packages) {
  return run(
    'apt-get',
    ['-q', '-y', '-o', 'DPkg::Lock::Timeout=300', command, '--no-install-recommends', ...packages],
    {
      // RUNLEVEL=1 keeps the maintainer scripts from starting what they install: the tests run servers of their own.
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    },
  );
}
