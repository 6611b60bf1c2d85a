<?php

namespace App\Http\Requests;

class StoreHybridCampaignRequest extends StoreCampaignRequest
{
    protected function prepareForValidation(): void
    {
        parent::prepareForValidation();
        $this->merge(['campaign_type' => 'hybrid']);
    }
}
