import * as fs from 'astrid/sdk/fs';
import { ToolError } from 'astrid/sdk/tool';

/**
 * A path as a model writes it to one the kernel takes. No scheme means the workspace, and so does a leading `/`: models
 * often write the workspace as if it were the root. What is inside and what is outside the root is decided by the kernel
 * alone, component by component; nothing is resolved here.
 */
export function guestPath(path: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/s.exec(path);
  if (scheme === null) return `cwd://${trimPath(path)}`;
  if (scheme[1] !== 'cwd' && scheme[1] !== 'home') {
    throw new ToolError(
      `invalid_argument: ${path}: paths are relative to the workspace, or begin with cwd:// or home://`,
    );
  }
  return `${scheme[1]}://${trimPath(scheme[2] ?? '')}`;
}

/** The short form for results: relative to the workspace, `.` for the workspace itself. */
export function shownPath(path: string): string {
  const guest = guestPath(path);
  if (!guest.startsWith('cwd://')) return guest;
  return guest.slice('cwd://'.length) || '.';
}

export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? `${directory}${name}` : `${directory}/${name}`;
}

/** A file's text. Refuses what is not UTF-8, since text that was read with losses must never be written back. */
export function readText(path: string): string {
  const bytes = fs.readFile(path);
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!text.slice(0, 8192).includes('\0')) return text;
  } catch {
    // Not UTF-8: the same answer as for binary content.
  }
  throw new ToolError(`not_supported: ${shownPath(path)} is not a text file (${bytes.length} bytes)`);
}

function trimPath(path: string): string {
  return path
    .replace(/^(?:\.?\/)+/, '')
    .replace(/^\.$/, '')
    .replace(/\/+$/, '');
}
