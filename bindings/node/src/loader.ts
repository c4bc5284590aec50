// Finds the native part: the package of this platform, or the file that FERROCKET_NODE_ADDON names.

/** What the addon offers. One port for each JavaScript thread; see port.ts. @internal */
export interface Addon {
  open(wake: () => void): AddonPort;
}

/** @internal */
export interface AddonPort {
  call(id: number, operation: string, handle: number, args: string, bodies: Uint8Array[]): void;
  drain(): { text: string; buffers: Buffer[] };
  cancel(id: number): void;
  settle(handle: number, tickets: number[], level?: number): void;
}

function libc(): string {
  if (process.platform !== 'linux') return '';
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  const { excludeNetwork } = report;
  // It would look up the names of all addresses.
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
  report.excludeNetwork = excludeNetwork ?? false;
  return header?.glibcVersionRuntime ? '-gnu' : '-musl';
}

/** @internal */
export function load(): Addon {
  const file = process.env['FERROCKET_NODE_ADDON'];
  if (file) return require(file) as Addon;
  const name = `ferrocket-${process.platform}-${process.arch}${libc()}`;
  try {
    return require(name) as Addon;
  } catch (cause) {
    const why =
      (cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND'
        ? `The package ${name}, which holds the native part of ferrocket for this platform, is not installed. ` +
          `It is an optional dependency: install without --omit=optional (--no-optional), and when the lockfile ` +
          `was written on another platform, run: npm install ${name}. Where there is no such package, the ` +
          `platform is not supported yet.`
        : `The native part of ferrocket in the package ${name} does not load: ${(cause as Error).message}`;
    throw new Error(why, { cause });
  }
}
