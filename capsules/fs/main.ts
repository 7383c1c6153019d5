import { defineCapsule } from 'astrid/sdk';
import { listDirectory, readFile } from './read.js';
import { grepSearch } from './search.js';
import { createDirectory, deleteFile, moveFile, replaceInFile, writeFile } from './write.js';

defineCapsule({
  description: 'Files of the workspace. Changes wait in an overlay until the person commits them.',
  tools: [readFile, writeFile, replaceInFile, listDirectory, grepSearch, createDirectory, deleteFile, moveFile],
});
