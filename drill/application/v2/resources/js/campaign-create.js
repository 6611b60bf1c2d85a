import '../css/app.css';
import { hybridLines, showHybridFields } from './hybrid.js';
import { previewText } from './preview.js';

const form = document.getElementById('campaign-form');
const preview = document.getElementById('campaign-preview');

function selected(name) {
    return form.elements[name].selectedOptions[0]?.dataset ?? {};
}

function refresh() {
    const { body } = selected('template_id');
    const { contacts } = selected('group_id');

    showHybridFields(form);
    preview.hidden = !body;
    preview.textContent = body ? previewText(body, contacts, hybridLines(form)) : '';
}

form.addEventListener('input', refresh);
form.addEventListener('submit', () => {
    form.querySelector('button').disabled = true;
});
refresh();
document.documentElement.dataset.frontend = 'v2';
