<?php

namespace App\Http\Requests;

use Illuminate\Foundation\Http\FormRequest;

class StoreCampaignRequest extends FormRequest
{
    public function rules(): array
    {
        return [
            'name' => ['required', 'string', 'max:255'],
            'template_id' => ['required', 'integer', 'exists:templates,id'],
            'group_id' => ['required', 'integer', 'exists:contact_groups,id'],
        ];
    }
}
