import { defineCapsule } from 'astrid/sdk';
import * as env from 'astrid/sdk/env';
import * as kv from 'astrid/sdk/kv';
import { s } from 'astrid/sdk/schema';
import { ToolError, tool } from 'astrid/sdk/tool';

/** Values outlive the process: they belong to this capsule and to the person it acts for. */
const NOTES_KEY = 'notes';

const readNotes = (): string[] => (kv.getJson(NOTES_KEY) as string[] | undefined) ?? [];

const addNote = tool({
  name: 'add_note',
  description: 'Keeps a note for later. Use it when the person asks to remember something.',
  mutable: true,
  input: s.object({ text: s.string('the note, in one sentence', { minLength: 1, maxLength: 1000 }) }),
  handler: ({ text }) => {
    const notes = readNotes();
    const max = Number(env.get('notes_max', '100'));
    // A ToolError is told to the model, which may then do something else.
    if (notes.length >= max) throw new ToolError(`there are ${max} notes already; remove one first`);
    kv.setJson(NOTES_KEY, [...notes, text]);
    return `kept, ${notes.length + 1} in all`;
  },
});

const listNotes = tool({
  name: 'list_notes',
  description: 'Lists every note, oldest first.',
  mutable: false,
  input: s.object({}),
  handler: () => readNotes(),
});

defineCapsule({ description: 'Notes that are still there tomorrow.', tools: [addNote, listNotes] });
