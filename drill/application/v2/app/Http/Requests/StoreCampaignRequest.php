<?php

namespace App\Http\Requests;

use Illuminate\Foundation\Http\FormRequest;
use Illuminate\Validation\Rule;

class StoreCampaignRequest extends FormRequest
{
    public function rules(): array
    {
        return [
            'name' => ['required', 'string', 'max:255'],
            'template_id' => ['required', 'integer', 'exists:templates,id'],
            'group_id' => ['required', 'integer', 'exists:contact_groups,id'],
            'campaign_type' => ['sometimes', Rule::in($this->allowedTypes())],
            'buttons' => ['sometimes', 'array', 'max:'.config('campaign.hybrid.max_buttons')],
            'buttons.*' => ['string', 'max:40'],
            'fallback_text' => ['sometimes', 'nullable', 'string', 'max:255'],
        ];
    }

    protected function prepareForValidation(): void
    {
        // The page sends a field per possible button, filled in or not.
        if (is_array($buttons = $this->input('buttons'))) {
            $this->merge(['buttons' => array_values(array_filter($buttons, fn ($button) => $button !== ''))]);
        }
    }

    private function allowedTypes(): array
    {
        return config('campaign.hybrid.enabled') ? ['standard', 'hybrid'] : ['standard'];
    }
}
